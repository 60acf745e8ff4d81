"""Where a player is, and what it is to do next: the arithmetic of pause, step, seek and speed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from taesd_stream.errors import InputError

__all__ = ["SPEEDS", "Playing"]

SPEEDS: Final = (0.125, 8.0)
"""The slowest and the fastest, in times of the usual speed."""


@dataclass(frozen=True, slots=True)
class Playing:
    """A player's state.

    Attributes:
        place: The number of the frame that is shown next.
        frames: How many there are; None if nobody knows.
        is_paused: Whether it stands still.
        steps: Frames to show although it does.
        speed: In times of the usual one.
        turns: How often it was told to go elsewhere, by which one tells that it was.

    >>> playing = Playing(place=3, frames=10)
    >>> playing.told("pause").told("step").steps
    1
    >>> playing.told("seek", 99).place
    9
    """

    place: int
    frames: int | None
    is_paused: bool = False
    steps: int = 0
    speed: float = 1.0
    turns: int = 0

    def told(self, action: str, value: object = None) -> Playing:
        """The state after somebody's wish.

        Args:
            action: "play", "pause", "toggle", "step" (``value`` frames, 1 if None; fewer than 0 go
                back), "seek" (to frame ``value``), or "speed" (``value`` times the usual).

        Raises:
            InputError: It makes no sense.
        """
        if action == "toggle":
            action = "play" if self.is_paused else "pause"
        if action in ("play", "pause"):
            return replace(self, is_paused=action == "pause", steps=0)._from_start_if_over(action)
        if action == "speed":
            return replace(self, speed=_number(value, *SPEEDS))
        if action == "step":
            by = 1 if value is None else int(_number(value, -10_000, 10_000))
            if by > 0:
                return replace(self, is_paused=True, steps=self.steps + by)
            # Back from the frame that is shown last, of those that were asked for.
            return replace(self._at(self.place + self.steps - 1 + by), is_paused=True, steps=1)
        if action == "seek":
            return replace(self._at(int(_number(value, 0, 2**53))), steps=1)
        raise InputError(
            f"action: expected play, pause, toggle, step, seek or speed, found {action!r:.40}"
        )

    def after_frame(self) -> Playing:
        """The state when the next frame has been shown."""
        return replace(self, place=self.place + 1, steps=max(0, self.steps - 1))

    @property
    def is_over(self) -> bool:
        """Whether the last frame was shown."""
        return self.frames is not None and self.place >= self.frames

    @property
    def waits(self) -> bool:
        """Whether no frame is to be shown now."""
        return self.is_over or (self.is_paused and not self.steps)

    def _at(self, place: int) -> Playing:
        last = place if self.frames is None else min(place, self.frames - 1)
        return replace(self, place=max(0, last), turns=self.turns + 1)

    def _from_start_if_over(self, action: str) -> Playing:
        return self._at(0) if action == "play" and self.is_over else self


def _number(value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InputError(
            f"value: expected a number from {least:g} to {most:g}, found {value!r:.40}"
        )
    return value
