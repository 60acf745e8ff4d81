"""One array in a file of its own, whose numbers are written piece by piece."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Self

import torch

from taesd_stream.errors import InputError
from taesd_stream.latents.writing.array_formats import (
    HEADER_BYTES,
    ArrayFormat,
    InOrder,
    Reordered,
)
from video.safe_files.part_file import PartFile, check_output, explain_os_error
from video.safe_files.scratch import ScratchFile

__all__ = ["ArrayFile"]


class ArrayFile(ABC):
    """A file of one array that is complete under its name or not there.

    A context manager. The numbers go to ``<stem>.part<suffix>`` beside ``path``, or first to a
    scratch file there, and the file gets the final name when the block ends well; else nothing is
    left but what :attr:`kept_part` names. A child says with ``_finished`` which array the file
    holds, and with ``frames_written`` whether what there is can be of use after an interrupt.

    Args:
        path: the file to make.
        suffixes: what its name may end in.
        overwrite: whether an existing file may be replaced.
        file_format: the kind of file that a suffix stands for.

    Attributes:
        path: the file to make.
        frames_written: the number of whole frames or latents that a finished file would hold.
        kept_part: the valid file that stays after KeyboardInterrupt, or because another one
            appeared under the final name; or None.

    Raises:
        InputError: the suffix is another, the folder is missing, or the file exists and
            ``overwrite`` is false.
        OutputError: the disk is full.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        suffixes: tuple[str, ...],
        file_format: Callable[[str], ArrayFormat],
        *,
        overwrite: bool,
    ) -> None:
        self.path = Path(path)
        self.frames_written = 0
        self.kept_part: Path | None = None
        self._overwrite = overwrite
        self._part: PartFile | None = None
        self._file: IO[bytes] | None = None
        self._scratch: ScratchFile | None = None
        suffix = self.path.suffix.lower()
        if suffix not in suffixes:
            raise InputError(
                f"expected the name of a {', '.join(suffixes[:-1])} or {suffixes[-1]} file to"
                f" write to, found {str(path)!r}: change its suffix"
            )
        self._format = file_format(suffix)

    @property
    def part_path(self) -> Path | None:
        """The unfinished file, or None outside the block."""
        return None if self._part is None else self._part.path

    def __enter__(self) -> Self:
        check_output(self.path, overwrite=self._overwrite)
        self._part = PartFile(self.path)
        if isinstance(self._format, Reordered):
            try:
                self._scratch = ScratchFile(
                    folder=self.path.absolute().parent, is_named=self._format.is_named
                )
            except BaseException:
                self._part.discard()
                raise
        else:
            self._file = self._part.path.open("r+b")
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        is_interrupt = isinstance(error, KeyboardInterrupt)
        try:
            if error is None or (is_interrupt and self.frames_written > 0):
                self._complete(part.path)
                self.kept_part = part.path
            if error is None:
                part.publish(overwrite=self._overwrite)
                self.kept_part = None
        finally:
            if self._scratch is not None:
                self._scratch.close()
                self._scratch = None
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

    def _complete(self, part: Path) -> None:
        """Make a valid file of the numbers that there are."""
        dtype, shape = self._finished()
        if isinstance(self._format, InOrder):
            header = self._format.header(dtype, shape)
            with self._open_file() as file:
                file.truncate(HEADER_BYTES + torch.Size(shape).numel() * dtype.itemsize)
                file.seek(0)
                file.write(header)
                file.close()
        elif isinstance(self._format, Reordered) and self._scratch is not None:
            with self._faults():
                self._format.write(self._scratch, part, dtype, shape)

    def _put(self, place: int, data: bytes | memoryview) -> None:
        """Write bytes so many bytes behind the place of the first number."""
        if self._scratch is not None:
            self._scratch.write(place, data)
            return
        with self._open_file() as file:
            file.seek(HEADER_BYTES + place)
            file.write(data)

    @contextlib.contextmanager
    def _open_file(self) -> Iterator[IO[bytes]]:
        if self._file is None:
            raise InputError(f"{self.path} is not open: write within a with block")
        with self._faults():
            yield self._file

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise explain_os_error(self.path, error) from error
