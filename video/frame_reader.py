"""Frames that are read, and the common part of what reads them: a video, or pictures."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from video.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Frame", "FrameReader"]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture: uint8 (H, W, 3) RGB, when it is shown, and its number from 0.

    Where transparency is kept, it is (H, W, 4).
    """

    image: NDArray[np.uint8]
    pts_seconds: Fraction
    index: int


class FrameReader(Closing):
    """A context manager and an iterable over frames: ``VideoReader`` or ``ImageSequenceReader``.

    Attributes:
        path: what is read.
        width, height: pixels of every frame.
        rate: frames per second.
        knows_rate: whether that is what the file says, and not what it was opened with.
        frame_count, duration_seconds: None where the file does not say.
    """

    path: Path
    width: int
    height: int
    rate: Fraction
    knows_rate: bool = True
    frame_count: int | None
    duration_seconds: Fraction | None

    @property
    def notes(self) -> tuple[str, ...]:
        """For the user, a line each, on what frames are not; complete once all are read."""
        return ()

    def counted(self) -> int | None:
        """How many frames there are, found out where the file does not say; None if it cannot be.

        Nothing is decoded for it, but a file may be gone through.
        """
        return self.frame_count

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Iterate over the frames, in order."""

    @abstractmethod
    def frames_of(self, numbers: range) -> Iterator[Frame]:
        """The frames of these numbers, which rise, as far as there are any; none if that is empty.

        Others are not made, nor read where that is possible. A second call may go back.
        """
