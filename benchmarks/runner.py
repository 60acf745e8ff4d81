"""Contenders that take turns: A B C, A B C, ..., one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.protocol import Gone, Ready, Turn

__all__ = ["Contender", "Measured", "alternate"]


class Contender(Protocol):
    """Somebody who can be told to have a turn."""

    name: str

    @property
    def idle_share(self) -> float: ...
    def load(self) -> Ready | Gone: ...
    def turn(self, truth: Path | None = None) -> Turn | Gone: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class Measured:
    """The outcome of one contender.

    Attributes:
        name: Who.
        ready: What it said once it was set up; None if it never was.
        warm_up: The turn that does not count.
        turns: Those that count, in order; empty if it left.
        gone: Why it left, if it did.
        idle_share: Processor time it used while others had their turns, as a share of that time.
    """

    name: str
    ready: Ready | None = None
    warm_up: Turn | None = None
    turns: list[Turn] = field(default_factory=list)
    gone: Gone | None = None
    idle_share: float = 0.0

    @property
    def seconds(self) -> list[float]:
        """Of each turn that counts."""
        return [turn.seconds for turn in self.turns]

    @property
    def peak_bytes(self) -> int | None:
        """The most held in any turn, the warm-up included."""
        held = [turn.peak_bytes for turn in self._all_turns()]
        return max(held, default=None)

    @property
    def working_bytes(self) -> int | None:
        """The same without the result."""
        held = [turn.working_bytes for turn in self._all_turns()]
        return max(held, default=None)

    def _all_turns(self) -> list[Turn]:
        return [*([] if self.warm_up is None else [self.warm_up]), *self.turns]


def alternate(
    contenders: Sequence[Contender],
    rounds: int,
    *,
    truth: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Measured]:
    """Set all up, warm each up with one turn, then let them take turns.

    Args:
        rounds: Turns of each that count.
        truth: A .npy that the results of the last round are compared with.
        say: Told what is going on.

    Returns:
        What each did, in the order given. A contender that leaves does not stop the others.
    """
    found = [Measured(contender.name) for contender in contenders]
    pairs = list(zip(contenders, found, strict=True))
    try:
        for contender, record in pairs:
            loaded = contender.load()
            if isinstance(loaded, Gone):
                _leave(contender, record, loaded, say)
                continue
            record.ready = loaded
            made = contender.turn()
            if isinstance(made, Gone):
                _leave(contender, record, made, say)
                continue
            record.warm_up = made
            say(f"  {contender.name}: warm-up {made.seconds:.3f} s")
        for number in range(rounds):
            say(f"  round {number + 1} of {rounds}")
            for contender, record in pairs:
                if record.gone is not None:
                    continue
                made = contender.turn(truth if number == rounds - 1 else None)
                if isinstance(made, Gone):
                    _leave(contender, record, made, say)
                else:
                    record.turns.append(made)
    finally:
        for contender, record in pairs:
            record.idle_share = contender.idle_share
            contender.close()
    return found


def _leave(contender: Contender, record: Measured, gone: Gone, say: Callable[[str], None]) -> None:
    record.gone = gone
    record.turns.clear()
    contender.close()
    say(f"  {contender.name}: {gone}")
