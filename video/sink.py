"""The protocol of what takes frames one by one and makes a file, pictures or an array of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Sink"]


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
