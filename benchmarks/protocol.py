"""Messages between a runner and its workers: one line of JSON at a time."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.accuracy import Accuracy

__all__ = ["Gone", "Job", "Ready", "Turn", "reply_from_json", "to_line"]


@dataclass(frozen=True, slots=True)
class Job:
    """The job of one worker.

    Attributes:
        kind: Which kind of job, a key of ``jobs.KINDS``.
        name: What this contender is called in the results.
        arguments: The kind's own, as plain values.
        threads: How many the work may use.
        needs_bytes: A rough estimate of what a turn takes; 0 if it is sure to fit.
    """

    kind: str
    name: str
    arguments: dict[str, Any]
    threads: int
    needs_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker is set up.

    Attributes:
        detail: What it is going to do.
        seconds: How long setting up took, imports aside.
        peak_bytes: The most it held meanwhile, above what it held with its libraries imported.
    """

    detail: str
    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn is done.

    Attributes:
        seconds: How long it took.
        peak_bytes: The most that was held in this turn (on a GPU if it computed there), above what
            was held before the model was loaded, so the model's weights count.
        output_bytes: What of that is the result itself.
        accuracy: Of the result, if a reference was named.
        others_share: Processor time that other programs took meanwhile, of all there was.
        values: What else was measured, by names with units.
    """

    seconds: float
    peak_bytes: int
    output_bytes: int
    others_share: float = 0.0
    accuracy: Accuracy | None = None
    values: dict[str, float] | None = None

    @property
    def working_bytes(self) -> int:
        """The peak without the result."""
        return max(0, self.peak_bytes - self.output_bytes)


@dataclass(frozen=True, slots=True)
class Gone:
    """A worker has left.

    Attributes:
        reason: Why.
        failed: Whether that is a fault; otherwise it was not available, or did not fit.
    """

    reason: str
    failed: bool = False

    def __str__(self) -> str:
        return f"failed: {self.reason}" if self.failed else f"not available: {self.reason}"


def to_line(message: Ready | Turn | Gone) -> str:
    """A reply as a line of JSON."""
    return json.dumps({"is": type(message).__name__, **asdict(message)}) + "\n"


def reply_from_json(line: str) -> Ready | Turn | Gone:
    """The reply that ``to_line`` wrote.

    Raises:
        ValueError: It is none.

    >>> reply_from_json(to_line(Gone("no such package")))
    Gone(reason='no such package', failed=False)
    """
    fields = json.loads(line)
    kind = fields.pop("is", None)
    if kind == "Ready":
        return Ready(**fields)
    if kind == "Gone":
        return Gone(**fields)
    if kind == "Turn":
        accuracy = fields.pop("accuracy")
        return Turn(accuracy=None if accuracy is None else Accuracy(**accuracy), **fields)
    raise ValueError(f"expected a worker's reply, found {line!r}")
