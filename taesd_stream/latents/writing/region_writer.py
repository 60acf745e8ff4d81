"""One latent into a file, region by region, in bounded memory."""

from __future__ import annotations

import os
from functools import partial

import torch

from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.latents.writing.array_file import ArrayFile
from taesd_stream.latents.writing.array_formats import LATENT_SUFFIXES, latent_format

__all__ = ["RegionWriter"]


class RegionWriter(ArrayFile):
    """Writes regions of a latent, which cover it, as (1, C, h, w) where ``LatentWriter`` does.

    The file appears under its name when the block ends well; after an error nothing is left.

    Args:
        path: the .safetensors, .npy, .latent, .pt or .pth file to make.
        shape: channels, height and width of the latent.
        dtype: of the stored numbers.
        metadata: what all of these but .npy say of it.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: as :class:`ArrayFile`, or files of this kind do not hold the dtype.
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
        metadata: LatentMetadata | None = None,
        overwrite: bool = False,
    ) -> None:
        known = metadata or LatentMetadata()
        kind = partial(latent_format, metadata=known, is_video=False)
        super().__init__(path, LATENT_SUFFIXES, kind, overwrite=overwrite)
        self._shape, self._dtype = shape, dtype
        self._format.check_dtype(dtype)

    def write(self, rows: slice, columns: slice, part: torch.Tensor) -> None:
        """Put (C, rows, columns) in its place."""
        channels, height, width = self._shape
        numbers = part.detach().to("cpu", self._dtype).contiguous().view(torch.uint8).numpy()
        itemsize = self._dtype.itemsize
        for channel in range(channels):
            for index, row in enumerate(range(rows.start, rows.stop)):
                place = ((channel * height + row) * width + columns.start) * itemsize
                self._put(place, numbers[channel, index].data)

    def _finished(self) -> tuple[torch.dtype, tuple[int, ...]]:
        return self._dtype, (1, *self._shape)
