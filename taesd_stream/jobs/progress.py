"""Progress bars: over frames, and over one large picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tqdm import tqdm

from tiling import TilePlan

__all__ = ["FrameProgress", "PictureProgress", "Reporting"]


@dataclass(frozen=True, slots=True)
class Reporting:
    """The ways in which a job tells how it goes.

    Attributes:
        progress: Show a bar on standard error, if that is a terminal.
        on_plan: Told the plan before work starts.
    """

    progress: bool
    on_plan: Callable[[TilePlan], None]


class _Bar(tqdm):  # type: ignore[type-arg]  # only its stubs know arguments
    """A bar on standard error, if that is a terminal; for use as a context manager."""

    def __init__(
        self, total: float | None, *, unit: str, shown: bool, done: float = 0, form: str | None
    ) -> None:
        super().__init__(
            total=total,
            initial=done,
            unit=unit,
            disable=None if shown else True,
            dynamic_ncols=True,
            bar_format=form,
        )


class FrameProgress(_Bar):
    """Frames, frames per second and time left.

    Args:
        frames: How many there will be; None if unknown. For one, the bar counts its tiles' pixels.
        shown: Whether there is to be a bar at all.
        frame_area: What a frame counts for in ``part``, where many are made together: then parts
            of them count, too.
    """

    def __init__(self, frames: int | None, *, shown: bool, frame_area: int | None = None) -> None:
        self._counts_pixels = frames == 1
        self._frames, self._area = frames, frame_area
        # Finished frames; and how many there were when those now being made were begun.
        self._finished = self._begun_at = 0
        self._part_done = 0
        super().__init__(
            1.0 if self._counts_pixels else frames,
            unit="frame",
            shown=shown,
            form="{l_bar}{bar}| {elapsed}<{remaining}" if self._counts_pixels else None,
        )

    def part(self, done: int, total: int) -> None:
        """Part of the frames now being made is done."""
        if done < self._part_done:
            self._begun_at = self._finished
        self._part_done = done
        if self._counts_pixels:
            self.update(done / total - self.n)
        elif self._area is not None and self._frames is not None:
            together = min(total // self._area, self._frames - self._begun_at)
            self._show(self._begun_at + done * together // total)

    def frame(self) -> None:
        """A whole frame is done."""
        self._finished += 1
        if not self._counts_pixels:
            self._show(self._finished)

    def _show(self, frames: int) -> None:
        if frames > self.n:
            self.update(frames - self.n)


class PictureProgress(_Bar):
    """Megapixels, megapixels per second and time left.

    Args:
        pixels: How many there will be.
        shown: Whether there is to be a bar at all.
        done: Those that are there already: they do not count as fast work.
    """

    def __init__(self, pixels: int, *, shown: bool, done: int = 0) -> None:
        form = (
            "{percentage:3.0f}%|{bar}| {n:.4g}/{total:.4g} megapixels"
            " [{elapsed}<{remaining}, {rate_fmt}]"
        )
        super().__init__(pixels / 1e6, unit="megapixel", shown=shown, done=done / 1e6, form=form)

    def part(self, done: int, total: int) -> None:
        """So many pixels are done; for ``on_tile``."""
        self.update(done / 1e6 - self.n)
