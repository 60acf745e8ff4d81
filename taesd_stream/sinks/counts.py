"""What became of what a sink was given."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SinkCounts", "TargetCounts"]


@dataclass(frozen=True, slots=True)
class TargetCounts:
    """What became of the frames for one target.

    Attributes:
        target: What it is, in words.
        written: Frames that it has taken.
        dropped: Frames that it did not get: they made room for newer ones, or it had failed.
        failure: Why it failed; None if it did not.
    """

    target: str
    written: int
    dropped: int
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class SinkCounts:
    """What became of what a sink was given.

    Attributes:
        pushed: Latents and frames that it was given.
        dropped: Latents that were not decoded: they made room for newer ones, or decoding failed.
        targets: What became of the frames, target by target.
        failure: Why decoding failed; None if it did not.
    """

    pushed: int
    dropped: int
    targets: tuple[TargetCounts, ...]
    failure: str | None = None
