"""Equal tensors into one .npy or .safetensors file, one at a time, in bounded memory."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import numpy as np
import torch

from taesd_stream.errors import InputError
from taesd_stream.latents.formats.safetensors_files import SAFETENSORS_DTYPES
from video.npy_header import npy_header
from video.safe_files.part_file import PartFile, check_output, explain_os_error

__all__ = ["STACK_SUFFIXES", "StackWriter", "stack_header"]

_HEADER_BYTES: Final = 256
"""Room for the header, which is written last, when the number of tensors is known."""

_NPY_DTYPES: Final = {
    torch.uint8: "|u1",
    torch.float16: "<f2",
    torch.float32: "<f4",
    torch.float64: "<f8",
}
_SAFETENSORS_NAMES: Final = {
    torch.uint8: "U8",
    **{dtype: name for name, dtype in SAFETENSORS_DTYPES.items()},
}


class StackWriter:
    """Writes tensors of one shape as one array, (T, ...), that is complete or not there.

    A context manager. The numbers go to ``<stem>.part<suffix>`` beside ``path``, which gets the
    final name when the block ends well. After KeyboardInterrupt what was written is kept there, in
    a valid file (``kept_part``); after any other exception nothing is left.

    Args:
        path: the .npy or .safetensors file to make.
        key: the array's name in a .safetensors file.
        dtype: what to store the numbers as; None is the first tensor's dtype.
        overwrite: whether an existing file may be replaced.

    Attributes:
        frames_written: how many tensors have been written.
        part_path: the unfinished file, or None outside the block.
        kept_part: the file that an interrupt left, or None.

    Raises:
        InputError: the suffix is neither of the two, the folder is missing, the file exists and
            ``overwrite`` is false, or (when the block ends) nothing was written.
        OutputError: the disk is full.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with StackWriter(f"{folder}/a.npy", key="images") as writer:
        ...         for _ in range(3):
        ...             writer.write(torch.zeros(8, 8, 3, dtype=torch.uint8))
        ...     writer.frames_written, writer.path.name
        (3, 'a.npy')
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        key: str,
        dtype: torch.dtype | None = None,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        self.frames_written = 0
        self.kept_part: Path | None = None
        self._key = key
        self._overwrite = overwrite
        self._dtype = dtype
        self._shape: tuple[int, ...] | None = None
        self._part: PartFile | None = None
        self._file: IO[bytes] | None = None
        if self.path.suffix.lower() not in _HEADERS:
            raise InputError(
                f"expected the name of a .npy or .safetensors file to write {key} to, "
                f"found {str(path)!r}: change its suffix"
            )
        if dtype is not None:
            self._header(dtype, (0, 0, 0, 0))

    @property
    def part_path(self) -> Path | None:
        """The unfinished file, or None outside the block."""
        return None if self._part is None else self._part.path

    def __enter__(self) -> Self:
        check_output(self.path, overwrite=self._overwrite)
        self._part = PartFile(self.path)
        self._file = self._part.path.open("r+b")
        self._put(bytes(_HEADER_BYTES))
        return self

    def write(self, tensor: torch.Tensor) -> None:
        """Append a tensor of the first one's shape, from any device.

        Raises:
            InputError: its shape is another, or there is no open block.
        """
        if self._file is None:
            raise InputError(f"{self.path} is not open: write within a with block")
        shape = tuple(tensor.shape)
        if tensor.numel() == 0 or shape != (self._shape or shape):
            raise InputError(
                f"expected {self._key} of shape {self._shape or 'other than empty'}, found "
                f"{shape} at number {self.frames_written}: write equal ones, one at a time"
            )
        if self._dtype is None:
            self._dtype = tensor.dtype
        if self._shape is None:
            self._header(self._dtype, (1, *shape))
            self._shape = shape
        numbers = tensor.detach().to("cpu", self._dtype).contiguous()
        self._put(numbers.view(torch.uint8).numpy().data)
        self.frames_written += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        try:
            if kind is None:
                self._finish()
                self._publish(part)
            elif issubclass(kind, KeyboardInterrupt) and self.frames_written > 0:
                self._finish()
                self.kept_part = part.path
        finally:
            if self._file is not None:
                # What is still in its buffer may find no room; the file is removed in any case.
                with contextlib.suppress(OSError):
                    self._file.close()
                self._file = None
            if self.kept_part is None:
                part.discard()

    def _put(self, data: bytes | memoryview) -> None:
        if self._file is not None:
            try:
                self._file.write(data)
            except OSError as error:
                raise explain_os_error(self.path, error) from error

    def _finish(self) -> None:
        """Make the part file valid for the tensors that are in it, and close it."""
        if self._file is None or self._dtype is None or self._shape is None:
            raise InputError(
                f"expected {self._key} to write to {self.path}, found none: write at least one"
            )
        header = self._header(self._dtype, (self.frames_written, *self._shape))
        frame_bytes = torch.Size(self._shape).numel() * self._dtype.itemsize
        try:
            self._file.truncate(_HEADER_BYTES + self.frames_written * frame_bytes)
            self._file.seek(0)
            self._file.write(header)
            self._file.close()
        except OSError as error:
            raise explain_os_error(self.path, error) from error
        self._file = None

    def _publish(self, part: PartFile) -> None:
        self.kept_part = part.path
        part.publish(overwrite=self._overwrite)
        self.kept_part = None

    def _header(self, dtype: torch.dtype, shape: tuple[int, ...]) -> bytes:
        return stack_header(self.path, self._key, dtype, shape)


def stack_header(path: Path, key: str, dtype: torch.dtype, shape: tuple[int, ...]) -> bytes:
    """What comes before the numbers of one array in a file, always of the same length.

    Raises:
        InputError: the dtype is none that this kind of file holds.
    """
    return _HEADERS[path.suffix.lower()](key, dtype, shape)


def _npy_header(key: str, dtype: torch.dtype, shape: tuple[int, ...]) -> bytes:
    if dtype not in _NPY_DTYPES:
        raise InputError(
            f"expected {key} as float16, float32 or float64 for .npy, found {dtype}: give another "
            "dtype, or write .safetensors"
        )
    return npy_header(shape, np.dtype(_NPY_DTYPES[dtype]), length=_HEADER_BYTES)


def _safetensors_header(key: str, dtype: torch.dtype, shape: tuple[int, ...]) -> bytes:
    if dtype not in _SAFETENSORS_NAMES:
        raise InputError(
            f"expected {key} as one of {', '.join(_SAFETENSORS_NAMES.values())} for .safetensors, "
            f"found {dtype}: give another dtype"
        )
    entry = {
        "dtype": _SAFETENSORS_NAMES[dtype],
        "shape": shape,
        "data_offsets": [0, torch.Size(shape).numel() * dtype.itemsize],
    }
    start = (_HEADER_BYTES - 8).to_bytes(8, "little")
    return (start + json.dumps({key: entry}).encode()).ljust(_HEADER_BYTES)


_HEADERS: Final = {".npy": _npy_header, ".safetensors": _safetensors_header}
STACK_SUFFIXES: Final = tuple(_HEADERS)
