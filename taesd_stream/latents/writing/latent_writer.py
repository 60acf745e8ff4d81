"""Latents into files, one at a time, in bounded memory; complete under their name or not there."""

from __future__ import annotations

import os
from functools import partial

import torch

from taesd_stream.errors import LatentsError
from taesd_stream.latents.checks import require_floating
from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.latents.writing.array_formats import LATENT_SUFFIXES, latent_format
from taesd_stream.latents.writing.stack_writer import StackWriter

__all__ = ["LatentWriter"]


class LatentWriter(StackWriter):
    """A ``StackWriter`` of latents (C, h, w), which holds (T, C, h, w) in all.

    In .safetensors they are under the key ``latents``; in .pt and .pth, too, in a dict beside what
    is said of them; in ComfyUI's .latent under ``latent_tensor``, those of a video as
    (1, C, T, h, w), and in the convention "vae".

    Args:
        path: the .safetensors, .npy, .latent, .pt or .pth file to make.
        dtype: of the stored numbers; None is the first latent's dtype.
        metadata: what all of these but .npy say of them.
        is_video: whether they follow each other in time, which only a .latent tells.
        overwrite: whether an existing file may be replaced.

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
        metadata: LatentMetadata | None = None,
        is_video: bool = False,
        overwrite: bool = False,
    ) -> None:
        known = metadata or LatentMetadata()
        kind = partial(latent_format, metadata=known, is_video=is_video)
        super().__init__(
            path, LATENT_SUFFIXES, kind, what="latents", dtype=dtype, overwrite=overwrite
        )

    def write(self, tensor: torch.Tensor) -> None:
        """Append a latent (C, h, w) of any floating dtype, from any device.

        Raises:
            LatentsError: it is no such tensor.
            InputError: it is not of the first one's shape.
        """
        if tensor.ndim != 3 or tensor.numel() == 0:
            raise LatentsError(
                f"expected a latent (C, h, w) of at least one value, found shape "
                f"{tuple(tensor.shape)} at latent {self.frames_written}: write one at a time"
            )
        require_floating(tensor.dtype, f"latent {self.frames_written}")
        super().write(tensor)
