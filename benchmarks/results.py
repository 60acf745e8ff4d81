"""Results of a run, as rows of plain values that become JSON, a table and a plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.accuracy import Accuracy
from benchmarks.machine import Machine
from benchmarks.runner import Measured
from benchmarks.stats import median_ratio, median_seconds

__all__ = ["Report", "Row", "Section", "to_row"]


@dataclass(frozen=True, slots=True)
class Row:
    """One contender's results.

    Attributes:
        name: The contender.
        pixels: Along the side of the square picture.
        what: The contender in words.
        gone: Why there are no results; empty if there are.
        failed: Whether that is a fault.
        detail: What it said it would do: its plan, its options.
        load_seconds: How long setting up took, imports aside.
        load_peak_bytes: The most it held meanwhile.
        seconds: Of every turn that counts, in order.
        warm_up_seconds: Of the turn that does not.
        median_seconds: Of ``seconds``.
        ratios: How many times as fast as each reference: the median of the rounds' ratios.
        peak_bytes: The most held in a turn above what was held before the model was loaded.
        working_bytes: The same without the result.
        accuracy: Against the undivided float32 decode.
        others_share: Processor time that other programs took during the turns that count, as a
            share of the machine's: the largest.
        idle_share: Processor time used while others had their turns, as a share of that time.
        values: What else was measured, by names with units.
    """

    name: str
    pixels: int
    what: str
    gone: str
    failed: bool
    detail: str
    load_seconds: float | None
    load_peak_bytes: int | None
    seconds: tuple[float, ...]
    warm_up_seconds: float | None
    median_seconds: float | None
    ratios: Mapping[str, float | None]
    peak_bytes: int | None
    working_bytes: int | None
    accuracy: Accuracy | None
    others_share: float
    idle_share: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Section:
    """Contenders that alternated with each other.

    Attributes:
        kind: "table", "scaling", "nano", "video", "gpu", "gpu-decode" or "suite".
        title: Of its table.
        references: The contenders that ratios refer to.
        rows: In the order of turns.
        values: What follows from the rows together, by names with units.
    """

    kind: str
    title: str
    references: tuple[str, ...]
    rows: tuple[Row, ...]
    values: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """All of a run."""

    machine: Machine
    sections: tuple[Section, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """The contenders that failed, and how."""
        return tuple(
            f"{row.name}: {row.gone}"
            for section in self.sections
            for row in section.rows
            if row.failed
        )

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)

    def write(self, path: Path) -> None:
        """Write the JSON."""
        path.write_text(json.dumps(self.to_json(), indent=2) + "\n")


def to_row(
    measured: Measured,
    references: Mapping[str, Sequence[float]],
    *,
    pixels: int,
    what: str = "",
    values: Mapping[str, float] | None = None,
) -> Row:
    """One contender's row.

    Args:
        references: The seconds of each reference's rounds in the same run.
        values: What else is known of it.
    """
    ready, gone, warm_up = measured.ready, measured.gone, measured.warm_up
    last = measured.turns[-1] if measured.turns else None
    return Row(
        name=measured.name,
        pixels=pixels,
        what=what,
        gone="" if gone is None else str(gone),
        failed=gone is not None and gone.failed,
        detail="" if ready is None else ready.detail,
        load_seconds=None if ready is None else ready.seconds,
        load_peak_bytes=None if ready is None else ready.peak_bytes,
        seconds=tuple(measured.seconds),
        warm_up_seconds=None if warm_up is None else warm_up.seconds,
        median_seconds=median_seconds(measured.seconds),
        ratios={
            name: median_ratio(seconds, measured.seconds) for name, seconds in references.items()
        },
        peak_bytes=measured.peak_bytes,
        working_bytes=measured.working_bytes,
        accuracy=None if last is None else last.accuracy,
        others_share=max((turn.others_share for turn in measured.turns), default=0.0),
        idle_share=measured.idle_share,
        values={**((last and last.values) or {}), **(values or {})},
    )
