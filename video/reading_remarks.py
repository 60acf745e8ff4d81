"""Remarks on what is read: in what its frames are not as the file has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from video.transparency import OVER_WHITE, Transparency, is_transparent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from video.file_kinds import FileKind

__all__ = ["ReadingRemarks", "hdr_still_note", "pages_note", "skipped_note"]

_MOST_OFF = Fraction(1, 4)
"""By which part of a frame's time the next may be early or late, where the rate is constant."""

_CLOCK_TICKS = Fraction(3, 2)


@dataclass(slots=True)
class ReadingRemarks:
    """What there is to say of a video or of pictures; it is filled in while frames are read.

    Attributes:
        name: of the file.
        transparency: what becomes of frames with alpha.
        pixel_aspect: width of a pixel over its height; None where nothing tells.
        hdr: "PQ" or "HLG"; None for ordinary video.
        is_mapped: whether that is brought to BT.709.
        wide_colors: whose colours it has, such as Display P3, where not BT.709's.
        is_slanted: whether it is to be shown turned by an angle that is no quarter turn.
        is_interlaced: whether rows of two times take turns in its frames.
        videos: how many are in the file, of which the first is taken.
        is_cut_short: whether the file ends before its end.
        damaged: how many frames could be decoded only in part.
        variable_rate: whether frames were found that do not follow each other at one rate.
        pages: how many the pictures have, by their names, of which the first is taken.
        frames: how many there are in the animations of which the first is taken.
    """

    name: str
    transparency: Transparency = OVER_WHITE
    pixel_aspect: Fraction | None = None
    hdr: str | None = None
    is_mapped: bool = False
    wide_colors: str | None = None
    is_slanted: bool = False
    is_interlaced: bool = False
    videos: int = 1
    is_cut_short: bool = False
    damaged: int = 0
    variable_rate: bool = False
    pages: dict[str, int] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    _before: Fraction | None = None
    _is_laid_over: bool = False

    def taken(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A frame, (H, W, 3) or (H, W, 4), by the rule for what is transparent."""
        if not (self.transparency.is_kept or self._is_laid_over):
            self._is_laid_over = is_transparent(image)
        return self.transparency.applied(image)

    def look_at(self, seconds: Fraction, rate: Fraction, tick: Fraction) -> None:
        """Look at the time of the next frame, which a clock of ``tick`` seconds tells."""
        if self._before is not None:
            off = abs(seconds - self._before - 1 / rate)
            self.variable_rate |= off > max(_MOST_OFF / rate, _CLOCK_TICKS * tick)
        self._before = seconds

    def look_elsewhere(self) -> None:
        """The next frame that is looked at does not follow the one before."""
        self._before = None

    def lines(self, rate: Fraction | None = None) -> Iterator[str]:
        """For the user, a line each; pictures have no ``rate``."""
        if self._is_laid_over:
            yield f"{self.name}: what is transparent was laid over {self.transparency.color_name}"
        for name, pages in tuple(self.pages.items())[:1]:
            yield from pages_note(name, pages, len(self.pages) - 1)
        for name, frames in tuple(self.frames.items())[:1]:
            yield _frames_note(name, frames, len(self.frames) - 1)
        if self.is_cut_short:
            yield (
                f"{self.name}: the file is cut short; its frames are taken as far as they go, and"
                " the last may be damaged"
            )
        if self.damaged:
            yield f"{self.name}: frames that are damaged in it: {self.damaged}; they look it"
        # Where a file is cut, frames may be missing that are shown between others.
        if self.variable_rate and not self.is_cut_short:
            yield (
                f"{self.name}: its frames follow each other at a variable rate; they are taken one"
                f" by one, as if at {rate} per second, which is the average"
            )
        if self.pixel_aspect and self.pixel_aspect != 1:
            aspect = f"{self.pixel_aspect.numerator}:{self.pixel_aspect.denominator}"
            yield (
                f"{self.name}: its pixels are not square, but {aspect}; they are taken as they are"
                " stored, and pictures look stretched"
            )
        if self.is_interlaced:
            yield (
                f"{self.name}: its frames are interlaced, and taken so: what moves may look like a"
                " comb; `ffmpeg -i IN -vf bwdif OUT` takes that away"
            )
        if self.videos > 1:
            yield f"{self.name}: the first of its {self.videos} videos is taken"
        if self.is_slanted:
            yield (
                f"{self.name}: it is to be shown turned by an angle that is no quarter turn; frames"
                " are taken as they are stored"
            )
        if self.wide_colors is not None:
            yield f"{self.name}: its colours are those of {self.wide_colors}, mapped to BT.709's"
        if self.hdr is not None and self.is_mapped:
            yield f"{self.name}: it is HDR ({self.hdr}); tones and colours are mapped to BT.709"
        elif self.hdr is not None:
            yield (
                f"{self.name}: it is HDR ({self.hdr}), and this FFmpeg cannot map its tones to"
                " BT.709: colours come out pale; map them before, or install a newer PyAV"
            )


def hdr_still_note(name: str, hdr: str | None) -> tuple[str, ...]:
    """A remark on a picture of high dynamic range, "PQ" or "HLG"; none where it is None."""
    if hdr is None:
        return ()
    return (
        f"{name}: it is HDR ({hdr}), and tones of pictures are not mapped: colours come out pale;"
        " save it as SDR, such as .jpg",
    )


def pages_note(name: str, pages: int, others: int = 0) -> tuple[str, ...]:
    """A remark on the pages of a TIFF, and of ``others``, of which the first is taken; or none."""
    if pages < 2:
        return ()
    return (
        f"{name}: the first of its {pages} pages is taken{_likewise(others)};"
        f" `tiffsplit {name} page_` makes a file of each, and their folder is read as frames",
    )


def _frames_note(name: str, frames: int, others: int) -> str:
    return (
        f"{name}: the first of its {frames} frames is taken{_likewise(others)}; give it alone, and"
        " all are"
    )


def _likewise(others: int) -> str:
    return f" (so with {others} more)" if others else ""


def skipped_note(folder: str, skipped: list[tuple[Path, FileKind]]) -> tuple[str, ...]:
    """A remark on what looks like a picture in a folder and is not taken; none for nothing."""
    if not skipped:
        return ()
    path, kind = skipped[0]
    more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
    named = "give it alone" if kind.is_video else "rename it, as .png or what it is"
    what = kind.advice or named
    return (f"{folder}: left out, by its name: {path.name}, {kind.name}{more}: {what}",)
