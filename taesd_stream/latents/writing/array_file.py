"""One array in a .npy or .safetensors file, whose numbers are written piece by piece."""

from __future__ import annotations

import contextlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final, Self

import numpy as np
import torch

from taesd_stream.errors import InputError
from taesd_stream.latents.checks import dtype_name
from taesd_stream.latents.formats.safetensors_files import SAFETENSORS_DTYPES
from taesd_stream.latents.metadata import LatentMetadata
from video.npy_header import npy_header
from video.safe_files.part_file import PartFile, check_output, explain_os_error

__all__ = ["ARRAY_SUFFIXES", "HEADER_BYTES", "ArrayFile"]

HEADER_BYTES: Final = 512
"""The length of every header, so that it can be written when all sizes are known."""

ARRAY_SUFFIXES: Final = (".npy", ".safetensors")

_NPY_DTYPES: Final = (torch.uint8, torch.float16, torch.float32, torch.float64)
_SAFETENSORS_NAMES: Final = {
    torch.uint8: "U8",
    **{dtype: name for name, dtype in SAFETENSORS_DTYPES.items()},
}


class ArrayFile(ABC):
    """A file of one array that is complete under its name or not there.

    A context manager. The numbers go to ``<stem>.part<suffix>`` beside ``path``, which gets the
    final name when the block ends well; else nothing is left but what :attr:`kept_part` names. A
    child says with ``_finished`` which array the file holds, and with ``frames_written`` whether
    what there is can be of use after an interrupt.

    Attributes:
        path: the .npy or .safetensors file to make.
        frames_written: the number of whole frames or latents that a finished file would hold.
        kept_part: the valid file that stays after KeyboardInterrupt, or because another one
            appeared under the final name; or None.

    Raises:
        InputError: the suffix is neither of the two, the folder is missing, or the file exists and
            ``overwrite`` is false.
        OutputError: the disk is full.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        key: str,
        metadata: LatentMetadata | None,
        overwrite: bool,
    ) -> None:
        self.path = Path(path)
        self.frames_written = 0
        self.kept_part: Path | None = None
        self._key = key
        self._metadata = (metadata or LatentMetadata()).as_strings()
        self._overwrite = overwrite
        self._part: PartFile | None = None
        self._file: IO[bytes] | None = None
        if self.path.suffix.lower() not in ARRAY_SUFFIXES:
            raise InputError(
                f"expected the name of a .npy or .safetensors file to write {key} to, "
                f"found {str(path)!r}: change its suffix"
            )

    @property
    def part_path(self) -> Path | None:
        """The unfinished file, or None outside the block."""
        return None if self._part is None else self._part.path

    def __enter__(self) -> Self:
        check_output(self.path, overwrite=self._overwrite)
        self._part = PartFile(self.path)
        self._file = self._part.path.open("r+b")
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        is_interrupt = isinstance(error, KeyboardInterrupt)
        try:
            if error is None or (is_interrupt and self.frames_written > 0):
                dtype, shape = self._finished()
                header = self._header(dtype, shape)
                with self._open_file() as file:
                    file.truncate(HEADER_BYTES + torch.Size(shape).numel() * dtype.itemsize)
                    file.seek(0)
                    file.write(header)
                    file.close()
                self.kept_part = part.path
            if error is None:
                part.publish(overwrite=self._overwrite)
                self.kept_part = None
        finally:
            if self._file is not None:
                # What is still in its buffer may find no room; the file is removed in any case.
                with contextlib.suppress(OSError):
                    self._file.close()
                self._file = None
            if self.kept_part is None:
                part.discard()

    @abstractmethod
    def _finished(self) -> tuple[torch.dtype, tuple[int, ...]]:
        """Dtype and shape of the array whose numbers are in the file now."""

    def _header(self, dtype: torch.dtype, shape: tuple[int, ...]) -> bytes:
        """The header of the file.

        Raises:
            InputError: the dtype is none that this kind of file holds.
        """
        if self.path.suffix.lower() == ".npy":
            return _npy_header(self._key, dtype, shape)
        return _safetensors_header(self._key, dtype, shape, self._metadata)

    def _put(self, place: int, data: bytes | memoryview) -> None:
        """Write bytes at an offset of the file."""
        with self._open_file() as file:
            file.seek(place)
            file.write(data)

    @contextlib.contextmanager
    def _open_file(self) -> Iterator[IO[bytes]]:
        if self._file is None:
            raise InputError(f"{self.path} is not open: write within a with block")
        try:
            yield self._file
        except OSError as error:
            raise explain_os_error(self.path, error) from error


def _npy_header(key: str, dtype: torch.dtype, shape: tuple[int, ...]) -> bytes:
    if dtype not in _NPY_DTYPES:
        raise InputError(
            f"expected {key} as float16, float32 or float64 for .npy, found {dtype}: give another "
            "dtype, or write .safetensors"
        )
    return npy_header(shape, np.dtype(dtype_name(dtype)), length=HEADER_BYTES)


def _safetensors_header(
    key: str, dtype: torch.dtype, shape: tuple[int, ...], metadata: Mapping[str, str]
) -> bytes:
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
    start = (HEADER_BYTES - 8).to_bytes(8, "little")
    said = {"__metadata__": metadata} if metadata else {}
    return (start + json.dumps({**said, key: entry}).encode()).ljust(HEADER_BYTES)
