"""A progress bar over frames, or over one large picture."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from tqdm import tqdm

__all__ = ["FrameProgress"]


class FrameProgress:
    """Frames, frames per second and time left, on standard error if that is a terminal.

    Args:
        frames: How many there will be; None if unknown. For one, the bar counts its tiles' pixels.
        shown: Whether there is to be a bar at all.
    """

    def __init__(self, frames: int | None, *, shown: bool) -> None:
        self._counts_pixels = frames == 1
        self._bar = tqdm(
            total=1.0 if self._counts_pixels else frames,
            disable=None if shown else True,
            unit="frame",
            unit_scale=False,
            dynamic_ncols=True,
            bar_format=("{l_bar}{bar}| {elapsed}<{remaining}" if self._counts_pixels else None),
        )

    def part(self, done: int, total: int) -> None:
        """Part of the current frame is done."""
        if self._counts_pixels:
            self._bar.update(done / total - self._bar.n)

    def frame(self) -> None:
        """A whole frame is done."""
        if not self._counts_pixels:
            self._bar.update(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
