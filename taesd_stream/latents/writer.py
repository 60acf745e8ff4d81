"""Latents into files, one at a time, in bounded memory; complete under their name or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

import torch

from taesd_stream.errors import InputError, LatentsError
from taesd_stream.latents.checks import require_floating
from taesd_stream.latents.safetensors_files import SAFETENSORS_DTYPES

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["LatentWriter"]

_HEADER_BYTES: Final = 256
"""Room for the header, which is written last, when the number of latents is known."""

_NPY_DTYPES: Final = {torch.float16: "<f2", torch.float32: "<f4", torch.float64: "<f8"}
_SAFETENSORS_NAMES: Final = {dtype: name for name, dtype in SAFETENSORS_DTYPES.items()}
_MAX_PARTS: Final = 100


class LatentWriter:
    """Writes latents (C,h,w) to one .npy or .safetensors file (key ``latents``), as T,C,h,w.

    A context manager. The numbers go to ``<stem>.part<suffix>`` beside ``path``, which gets the
    final name when the block ends well. After KeyboardInterrupt the latents that were written are
    kept there, in a valid file (``kept_part``); after any other exception nothing is left. Where an
    earlier run left a part file, ``.part2`` and so on are taken.

    Args:
        path: the file to make; its suffix chooses the format.
        dtype: what to store the numbers as; None is the first latent's dtype.
        overwrite: whether an existing file may be replaced.

    Attributes:
        frames_written: how many latents have been written.
        part_path: the unfinished file, or None outside the block.
        kept_part: the file that an interrupt left, or None.

    Raises:
        InputError: the suffix is neither of the two, the folder is missing, the file exists and
            ``overwrite`` is false, or (when the block ends) nothing was written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with LatentWriter(f"{folder}/a.npy") as writer:
        ...         for _ in range(3):
        ...             writer.write(torch.zeros(4, 8, 8))
        ...     writer.frames_written, writer.path.name
        (3, 'a.npy')
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        dtype: torch.dtype | None = None,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        self.frames_written = 0
        self.part_path: Path | None = None
        self.kept_part: Path | None = None
        self._overwrite = overwrite
        self._dtype = dtype
        self._frame_shape: tuple[int, ...] | None = None
        self._file: IO[bytes] | None = None
        if self.path.suffix.lower() not in _HEADERS:
            raise InputError(
                f"expected the name of a .npy or .safetensors file to write latents to, "
                f"found {str(path)!r}: change its suffix"
            )
        if dtype is not None:
            self._header(dtype, (0, 0, 0, 0))

    def __enter__(self) -> Self:
        self._require_free_name()
        self.part_path, self._file = self._reserve()
        self._file.write(bytes(_HEADER_BYTES))
        return self

    def write(self, latent: torch.Tensor) -> None:
        """Append a latent (C,h,w) of any floating dtype, from any device.

        Raises:
            LatentsError: it is no such tensor, or not of the first one's shape.
        """
        if self._file is None:
            raise LatentsError(f"{self.path} is not open: write within a with block")
        if (
            latent.ndim != 3
            or latent.numel() == 0
            or latent.shape != (self._frame_shape or latent.shape)
        ):
            raise LatentsError(
                f"expected a latent (C,h,w) {self._frame_shape or 'of at least one value'}, found "
                f"shape {tuple(latent.shape)} at latent {self.frames_written}: write one at a time"
            )
        require_floating(latent.dtype, f"latent {self.frames_written}")
        if self._frame_shape is None:
            self._dtype = self._dtype or latent.dtype
            self._header(self._dtype, (1, *latent.shape))
            self._frame_shape = tuple(latent.shape)
        numbers = latent.detach().to("cpu", self._dtype).contiguous()
        self._file.write(numbers.view(torch.uint8).numpy().data)
        self.frames_written += 1

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        part, self.part_path = self.part_path, None
        if part is None:
            return
        try:
            if exc_type is None:
                self._finish()
                self._publish(part)
            elif issubclass(exc_type, KeyboardInterrupt) and self.frames_written > 0:
                self._finish()
                self.kept_part = part
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None
            if self.kept_part is None:
                part.unlink(missing_ok=True)

    def _finish(self) -> None:
        """Make the part file valid for the latents that are in it, and close it."""
        if self._file is None or self._dtype is None or self._frame_shape is None:
            raise InputError(
                f"expected latents to write to {self.path}, found none: write at least one"
            )
        shape = (self.frames_written, *self._frame_shape)
        header = self._header(self._dtype, shape)
        frame_bytes = torch.Size(self._frame_shape).numel() * self._dtype.itemsize
        self._file.truncate(_HEADER_BYTES + self.frames_written * frame_bytes)
        self._file.seek(0)
        self._file.write(header)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None

    def _header(self, dtype: torch.dtype, shape: tuple[int, ...]) -> bytes:
        return _HEADERS[self.path.suffix.lower()](dtype, shape)

    def _publish(self, part: Path) -> None:
        """Give the part file the final name, over another file only if that was asked for."""
        if self._overwrite:
            os.replace(part, self.path)
            return
        try:
            os.link(part, self.path)
        except FileExistsError as error:
            self.kept_part = part
            raise InputError(
                f"expected to find no file {self.path}, but it has appeared meanwhile: "
                f"the latents are in {part}"
            ) from error
        except OSError:  # a file system without hard links: check and move are two steps there
            self._require_free_name()
            os.replace(part, self.path)

    def _require_free_name(self) -> None:
        if self.path.is_dir():
            raise InputError(f"expected the name of a file to write, found the folder {self.path}")
        if self.path.exists() and not self._overwrite:
            raise InputError(
                f"expected a new file, found that {self.path} exists: give another name, "
                "or ask to overwrite it"
            )

    def _reserve(self) -> tuple[Path, IO[bytes]]:
        """Open a part file that nobody else writes and that no earlier run has left."""
        for number in range(1, _MAX_PARTS):
            mark = ".part" if number == 1 else f".part{number}"
            part = self.path.with_name(f"{self.path.stem}{mark}{self.path.suffix}")
            try:
                return part, part.open("xb")
            except FileExistsError:
                continue
            except OSError as error:
                raise InputError(
                    f"expected a folder to write {self.path} in, found {error.strerror}: "
                    "create it, or choose another"
                ) from error
        raise InputError(f"{self.path}: {_MAX_PARTS} unfinished files of that name: remove them")


def _npy_header(dtype: torch.dtype, shape: tuple[int, ...]) -> bytes:
    if dtype not in _NPY_DTYPES:
        raise InputError(
            f"expected float16, float32 or float64 for .npy, found {dtype}: give another dtype, "
            "or write .safetensors"
        )
    fields = {"descr": _NPY_DTYPES[dtype], "fortran_order": False, "shape": shape}
    start = b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")
    return (start + repr(fields).encode()).ljust(_HEADER_BYTES - 1) + b"\n"


def _safetensors_header(dtype: torch.dtype, shape: tuple[int, ...]) -> bytes:
    if dtype not in _SAFETENSORS_NAMES:
        raise InputError(
            f"expected one of {', '.join(_SAFETENSORS_NAMES.values())} for .safetensors, "
            f"found {dtype}: give another dtype"
        )
    entry = {
        "dtype": _SAFETENSORS_NAMES[dtype],
        "shape": shape,
        "data_offsets": [0, torch.Size(shape).numel() * dtype.itemsize],
    }
    start = (_HEADER_BYTES - 8).to_bytes(8, "little")
    return (start + json.dumps({"latents": entry}).encode()).ljust(_HEADER_BYTES)


_HEADERS: Final = {".npy": _npy_header, ".safetensors": _safetensors_header}
