"""One latent into a .npy or .safetensors file, part by part, in bounded memory."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import torch

from taesd_stream.latents.writing.stack_writer import stack_header
from video.safe_files.part_file import PartFile, check_output, explain_os_error

__all__ = ["RegionWriter"]


class RegionWriter:
    """Writes parts of a latent, which cover it, as (1, C, h, w) under the key ``latents``.

    A context manager. The file appears under its name when the block ends well; else nothing is
    left.

    Args:
        path: the .npy or .safetensors file to make.
        shape: channels, height and width of the latent.
        dtype: what to store the numbers as.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: the dtype or the path cannot be.
        OutputError: the disk is full.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with RegionWriter(f"{folder}/a.npy", (4, 2, 6), torch.float32) as writer:
        ...         for left in (0, 3):
        ...             writer.write(slice(0, 2), slice(left, left + 3), torch.ones(4, 2, 3))
        ...     np.load(f"{folder}/a.npy").mean()
        np.float32(1.0)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        shape: tuple[int, int, int],
        dtype: torch.dtype,
        *,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        self._shape, self._dtype, self._overwrite = shape, dtype, overwrite
        self._header = stack_header(self.path, "latents", dtype, (1, *shape))
        self._part: PartFile | None = None
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        check_output(self.path, overwrite=self._overwrite)
        self._part = PartFile(self.path)
        self._file = self._part.path.open("r+b")
        self._put(0, self._header)
        return self

    def write(self, rows: slice, columns: slice, part: torch.Tensor) -> None:
        """Put (C, rows, columns) in its place."""
        channels, height, width = self._shape
        numbers = part.detach().to("cpu", self._dtype).contiguous().view(torch.uint8).numpy()
        itemsize = self._dtype.itemsize
        for channel in range(channels):
            for index, row in enumerate(range(rows.start, rows.stop)):
                place = ((channel * height + row) * width + columns.start) * itemsize
                self._put(len(self._header) + place, numbers[channel, index].data)

    def _put(self, place: int, data: bytes | memoryview) -> None:
        if self._file is None:
            raise ValueError(f"{self.path} is not open: write within a with block")
        try:
            self._file.seek(place)
            self._file.write(data)
        except OSError as error:
            raise explain_os_error(self.path, error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        part, file = self._part, self._file
        self._part = self._file = None
        if part is None or file is None:
            return
        try:
            try:
                file.close()
            except OSError as failure:
                if kind is None:
                    raise explain_os_error(self.path, failure) from failure
            if kind is None:
                part.publish(overwrite=self._overwrite)
        finally:
            part.discard()
