"""Sinks of frames: a video, pictures, or an array, as the output asks for."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from torch import Tensor

from taesd_stream.jobs.output import Output
from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.latents.writing.array_formats import ARRAY_SUFFIXES, array_format
from taesd_stream.latents.writing.stack_writer import StackWriter
from tiling import Size
from video.large.row_writer import RowWriter
from video.large.writing import open_rows
from video.opening import open_writer_with
from video.sink import Sink

__all__ = ["Frame", "open_sink", "row_opener"]

Frame = npt.NDArray[np.uint8]


class _ImageStack(StackWriter):
    """Frames as one array of bytes: (T, H, W, 3) in .npy, (T, 3, H, W) in .safetensors.

    With alpha there are 4 channels. The latter says their rate.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, path: str | os.PathLike[str], *, rate: Fraction, overwrite: bool) -> None:
        said = LatentMetadata(frames_per_second=rate)
        kind = partial(array_format, key="images", metadata=said)
        super().__init__(path, ARRAY_SUFFIXES, kind, what="images", dtype=None, overwrite=overwrite)
        self._planar = self.path.suffix.lower() == ".safetensors"

    def write(self, frame: Frame | Tensor) -> None:
        """Append a frame, (H, W, 3 or 4) bytes."""
        pixels = torch.as_tensor(frame)
        super().write(rearrange(pixels, "h w c -> c h w") if self._planar else pixels)


def open_sink(output: Output, size: Size) -> Sink:
    """A writer for frames of one size, in pixels; for use as a context manager.

    Raises:
        InputError: Frames of that size, or the options, do not fit the kind of file.
    """
    if output.kind.is_one_picture:
        return row_opener(output, size)()
    if output.suffix in ARRAY_SUFFIXES:
        return _ImageStack(output.name, rate=output.rate, overwrite=output.overwrite)
    output.check_size(size.width, size.height)
    return open_writer_with(
        output.name, width=size.width, height=size.height, options=output.video_options
    )


def row_opener(output: Output, size: Size) -> Callable[..., RowWriter]:
    """``open_rows`` with what an output and a size in pixels say of a picture."""
    return partial(
        open_rows,
        output.name,
        width=size.width,
        height=size.height,
        compression=output.chosen_compression,
        quality=output.quality,
        overwrite=output.overwrite,
        alpha=output.alpha,
    )
