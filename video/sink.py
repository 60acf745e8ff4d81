"""Sinks: they take frames one by one and make a file, pictures or an array of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from video.errors import InputError

if TYPE_CHECKING:
    from os import PathLike

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FrameSink", "Sink"]


class Sink(Protocol):
    """A context manager that takes frames, and finishes its output when the block ends well.

    Attributes:
        frames_written: how many frames there are so far.
        kept_part: where something stayed that did not get its final name; None if nothing did.
    """

    frames_written: int
    kept_part: Path | None

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for whoever asked for the output, a line each."""

    def write(self, frame: NDArray[np.uint8], /) -> None:
        """Add one frame: uint8, (height, width, 3), RGB."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None: ...


class FrameSink(ABC):
    """A sink whose output is at a path: the common part of those that are written here.

    A child says with ``_leave`` what the end of the block means, and sets ``_closed``.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.frames_written = 0
        self.kept_part: Path | None = None
        self._closed = False
        self._notes: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for whoever asked for the output, a line each."""
        return tuple(self._notes)

    def _check_open(self) -> None:
        """Raise InputError where no frame can follow."""
        if self._closed:
            raise InputError(f"'{self.path}' is closed; no frame can follow")

    def _no_frames(self) -> InputError:
        """The error for an output of nothing."""
        return InputError(f"expected at least one frame for '{self.path}'; found none")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None:
        if not self._closed:
            self._leave(error)

    @abstractmethod
    def _leave(self, error: BaseException | None) -> None:
        """End the block, by an error or None, of a sink that is still open."""
