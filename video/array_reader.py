"""Frames out of one array of bytes, as decoding writes them: .npy, or .safetensors."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from video.errors import InputError, first_line
from video.frame_reader import Frame, FrameReader
from video.npy_header import read_npy_header
from video.rates import parse_rate
from video.reading_remarks import ReadingRemarks
from video.safe_files.scratch import read_all
from video.transparency import OVER_WHITE, Transparency

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction
    from io import FileIO
    from os import PathLike

    from numpy.typing import NDArray

__all__ = ["ARRAY_SUFFIXES", "ArrayReader", "holds_several_frames"]

ARRAY_SUFFIXES: Final = (".npy", ".safetensors")

_KEY: Final = "images"
_RATE: Final = "frames_per_second"
_MOST_HEADER_BYTES: Final = 1 << 20
_WANTED: Final = {
    ".npy": "uint8 (T, H, W, 3 or 4) or (H, W, 3 or 4)",
    ".safetensors": f"U8 (T, 3 or 4, H, W) under the key {_KEY}",
}


@dataclass(frozen=True, slots=True)
class _Layout:
    """Bytes from ``offset`` on, each picture of ``shape``; its channels come first, or last."""

    offset: int
    frames: int
    shape: tuple[int, int, int]
    planar: bool
    rate: Fraction | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.shape[1:] if self.planar else self.shape[:2]


class ArrayReader(FrameReader):
    """The frames of one array, read one at a time: the protocol of ``VideoReader``.

    A .npy holds uint8 (T, H, W, 3), or (H, W, 3) for one; a .safetensors uint8 (T, 3, H, W) under
    the key ``images``, and may say their rate. Four channels are RGBA.

    Args:
        path: the file.
        rate: where the file says none.
        transparency: what becomes of a fourth channel, which is straight alpha.

    Raises:
        InputError: if there is no such file, or it holds something else.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/a.npy", np.zeros((5, 4, 6, 3), np.uint8))
        ...     with ArrayReader(f"{folder}/a.npy", 24) as reader:
        ...         reader.frame_count, reader.width, len(list(reader))
        (5, 6, 5)
    """

    def __init__(
        self,
        path: str | PathLike[str],
        rate: str | int | float | Fraction,
        transparency: Transparency = OVER_WHITE,
    ) -> None:
        self.path = Path(path)
        self._remarks = ReadingRemarks(self.path.name, transparency)
        try:
            self._file: FileIO = self.path.open("rb", buffering=0)
        except OSError as error:
            raise InputError(f"cannot read '{self.path}': {error.strerror}") from error
        try:
            is_npy = self.path.suffix.lower() == ".npy"
            layout = (_npy_layout if is_npy else _safetensors_layout)(self._file, self.path)
            self._check_size(layout)
        except BaseException:
            self.close()
            raise
        self._layout = layout
        self.height, self.width = layout.size
        self.frame_count = layout.frames
        self.knows_rate = layout.rate is not None
        self.rate = layout.rate or parse_rate(rate)
        self.duration_seconds = layout.frames / self.rate

    def _check_size(self, layout: _Layout) -> None:
        needed = layout.offset + layout.frames * math.prod(layout.shape)
        found = os.fstat(self._file.fileno()).st_size
        if needed > found:
            raise InputError(
                f"'{self.path}' is cut short: expected {needed} bytes, found {found}; copy or save"
                " it anew"
            )

    def __iter__(self) -> Iterator[Frame]:
        return self.frames_of(range(self._layout.frames))

    def frames_of(self, numbers: range) -> Iterator[Frame]:
        layout = self._layout
        for index in range(layout.frames)[numbers.start : numbers.stop : numbers.step]:
            stored = np.empty(layout.shape, np.uint8)
            place = layout.offset + index * stored.nbytes
            if read_all(self._file, place, stored.data.cast("B")):
                raise InputError(f"'{self.path}' changed while it was read: leave it alone")
            image = self._remarks.taken(_channels_last(stored, planar=layout.planar))
            yield Frame(image, index / self.rate, index)

    @property
    def notes(self) -> tuple[str, ...]:
        """In what frames are not as the file has them; complete once all are read."""
        return tuple(self._remarks.lines())

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


def holds_several_frames(path: Path) -> bool:
    """Whether a .npy has an axis for frames, and more than one of them.

    What cannot be read has none: whoever opens it says so.
    """
    try:
        with path.open("rb") as file:
            shape = read_npy_header(file, f"'{path}'").shape
    except (OSError, InputError):
        return False
    return len(shape) == 4 and shape[0] != 1


def _channels_last(stored: NDArray[np.uint8], *, planar: bool) -> NDArray[np.uint8]:
    return np.ascontiguousarray(stored.transpose(1, 2, 0)) if planar else stored


def _npy_layout(file: FileIO, path: Path) -> _Layout:
    header = read_npy_header(file, f"'{path}'")
    shape = header.shape if len(header.shape) == 4 else (1, *header.shape)
    if header.dtype != np.uint8 or header.is_fortran or not _is_video(shape, channels=3):
        raise _other(path, f"{header.dtype} {header.shape}")
    return _Layout(header.length, shape[0], (shape[1], shape[2], shape[3]), planar=False)


def _safetensors_layout(file: FileIO, path: Path) -> _Layout:
    try:
        length = int.from_bytes(file.read(8), "little")
        if length > _MOST_HEADER_BYTES:
            raise ValueError(f"its header has {length} bytes")
        header = json.loads(file.read(length))
        said = header.pop("__metadata__", None) or {}
        found = {key: f"{entry['dtype']} {tuple(entry['shape'])}" for key, entry in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _other(path, f"a broken header ({first_line(error)})") from error
    entry = header.get(_KEY, {"shape": (), "dtype": ""})
    shape = tuple(entry["shape"])
    if entry["dtype"] != "U8" or not _is_video(shape, channels=1):
        listed = ", ".join(f"{key!r}: {what}" for key, what in list(found.items())[:4])
        raise _other(path, listed or "no array")
    offsets = entry.get("data_offsets")
    start = offsets[0] if isinstance(offsets, list) and offsets else None
    if not isinstance(start, int) or start < 0:
        raise _other(path, f"the data offset {start!r}")
    planes = (shape[1], shape[2], shape[3])
    return _Layout(8 + length + start, shape[0], planes, planar=True, rate=_rate(said))


def _is_video(shape: tuple[object, ...], *, channels: int) -> bool:
    """Whether there are 3 or 4 ``channels``, which are the axis 3 or 1 of the frames."""
    sizes = all(type(size) is int and size > 0 for size in shape)
    return sizes and len(shape) == 4 and shape[channels] in (3, 4)


def _rate(said: object) -> Fraction | None:
    value = said.get(_RATE) if isinstance(said, dict) else None
    if not isinstance(value, str):
        return None
    try:
        return parse_rate(value)
    except InputError:
        return None


def _other(path: Path, found: str) -> InputError:
    return InputError(
        f"expected frames as {_WANTED[path.suffix.lower()]} in '{path}'; found {found[:120]}: save"
        " them so, or give a video or pictures"
    )
