"""Progress bars: over frames, and over one large picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tqdm import tqdm

from taesd_stream.jobs.time_left import TimeLeft
from tiling import TilePlan

__all__ = ["FrameCount", "FrameProgress", "OnProgress", "PictureProgress", "Reporting"]

OnProgress: TypeAlias = Callable[[float, float | None], None]
"""Told how many frames are done, parts of them included, and of how many, if anybody knows; of a
picture that is made in bands, how many of its pixels are."""

_ONE_FRAME = "{l_bar}{bar}| {elapsed}<{left}"
_FRAMES = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{left}, {rate_fmt}]"
_PIXELS = "{percentage:3.0f}%|{bar}| {n:.4g}/{total:.4g} megapixels [{elapsed}<{left}, {rate_fmt}]"


@dataclass(frozen=True, slots=True)
class Reporting:
    """The ways in which a job tells how it goes.

    Attributes:
        progress: Show a bar on standard error, if that is a terminal.
        on_plan: Told the plan before work starts.
        on_progress: Told after every tile how far the work is; what it raises ends the work.
    """

    progress: bool
    on_plan: Callable[[TilePlan], None]
    on_progress: OnProgress = lambda done, total: None


class _Bar(tqdm):  # type: ignore[type-arg]  # only its stubs know arguments
    """A bar on standard error, if that is a terminal; for use as a context manager.

    Args:
        total: What there is to do; None if unknown.
        seconds: How long all of it takes by the plan; None if that is not known.
        done: What is done already.
        form: The bar's form, in which ``left`` is the time left; None is tqdm's own.
    """

    def __init__(
        self,
        total: float | None,
        *,
        unit: str,
        shown: bool,
        seconds: float | None,
        done: float = 0,
        form: str | None,
    ) -> None:
        self._done_before = done
        self._to_do = 0.0 if total is None else total - done
        part = None if seconds is None or not total else seconds * self._to_do / total
        self._left = TimeLeft(part)
        super().__init__(
            total=total,
            initial=done,
            unit=unit,
            disable=None if shown else True,
            dynamic_ncols=True,
            bar_format=form,
        )

    @property
    def format_dict(self) -> dict[str, Any]:
        """What the bar's form may hold: tqdm's own, and ``left``."""
        known = super().format_dict
        left = self._left.after(known["elapsed"])
        return {**known, "left": "?" if left is None else tqdm.format_interval(left)}

    def update(self, n: float | None = 1) -> bool | None:
        """So much more is done."""
        shown = super().update(n)
        if not self.disable and self._to_do:
            elapsed = super().format_dict["elapsed"]
            self._left.saw((self.n - self._done_before) / self._to_do, elapsed)
        return shown


class FrameCount:
    """The number of frames that are done, parts of those included that are being made.

    Args:
        frames: How many there will be; None if unknown.
        area: Pixels of one; None where parts do not count.
    """

    def __init__(self, frames: int | None, area: int | None) -> None:
        self._frames, self._area = frames, area
        # Finished frames; and how many there were when those now being made were begun.
        self._finished = self._begun_at = 0
        self._part_done = 0
        self.done = 0.0

    def part(self, done: int, total: int) -> None:
        """So many of the pixels of the frames now being made are done."""
        if done <= self._part_done:  # others are being made now
            self._begun_at = self._finished
        self._part_done = done
        if self._area is None:
            return
        together = total // self._area
        if self._frames is not None:
            together = min(together, self._frames - self._begun_at)
        self.done = max(self.done, self._begun_at + together * done / total)

    def to(self, done: float) -> None:
        """So many frames are done, parts of them included."""
        self.done = max(self.done, done)

    def frame(self) -> None:
        """A whole frame is done."""
        self._finished += 1
        self.done = max(self.done, float(self._finished))


class FrameProgress(_Bar):
    """Frames, frames per second and time left.

    Args:
        frames: How many there will be; None if unknown. For one, the bar counts its tiles' pixels.
        shown: Whether there is to be a bar at all.
        frame_area: What a frame counts for in ``part``, where many are made together: then parts
            of them count, too.
        seconds: How long they take by the plan; None if that is not known.
    """

    def __init__(
        self,
        frames: int | None,
        *,
        shown: bool,
        frame_area: int | None = None,
        seconds: float | None = None,
    ) -> None:
        self._counts_pixels = frames == 1
        self._count = FrameCount(frames, frame_area)
        super().__init__(
            1.0 if self._counts_pixels else frames,
            unit="frame",
            shown=shown,
            seconds=seconds,
            form=_ONE_FRAME if self._counts_pixels else _FRAMES if frames else None,
        )

    @property
    def done(self) -> float:
        """How many frames are done, parts of those included that are being made."""
        return self._count.done

    def part(self, done: int, total: int) -> None:
        """Part of the frames now being made is done."""
        self._count.part(done, total)
        if self._counts_pixels:
            self.update(done / total - self.n)
        else:
            self._show()

    def to(self, done: float) -> None:
        """So many frames are done, parts of them included."""
        self._count.to(done)
        if self._counts_pixels:
            self.update(self._count.done - self.n)
        else:
            self._show()

    def frame(self) -> None:
        """A whole frame is done."""
        self._count.frame()
        if not self._counts_pixels:
            self._show()

    def _show(self) -> None:
        frames = int(self._count.done)
        if frames > self.n:
            self.update(frames - self.n)


class PictureProgress(_Bar):
    """Megapixels, megapixels per second and time left.

    Args:
        pixels: How many there will be.
        shown: Whether there is to be a bar at all.
        done: Those that are there already: they do not count as fast work.
        seconds: How long all of them take by the plan; None if that is not known.
    """

    def __init__(
        self, pixels: int, *, shown: bool, done: int = 0, seconds: float | None = None
    ) -> None:
        super().__init__(
            pixels / 1e6,
            unit="megapixel",
            shown=shown,
            seconds=seconds,
            done=done / 1e6,
            form=_PIXELS,
        )

    def part(self, done: int, total: int) -> None:
        """So many pixels are done; for ``on_tile``."""
        self.update(done / 1e6 - self.n)
