"""Latents into files, one at a time, in bounded memory; complete under their name or not there."""

from __future__ import annotations

import os

import torch

from taesd_stream.errors import LatentsError
from taesd_stream.latents.checks import require_floating
from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.latents.writing.stack_writer import StackWriter

__all__ = ["LatentWriter"]


class LatentWriter(StackWriter):
    """A ``StackWriter`` of latents (C, h, w) under the key ``latents``, which holds (T, C, h, w).

    Args:
        path: the .npy or .safetensors file to make.
        dtype: of the stored numbers; None is the first latent's dtype.
        metadata: what a .safetensors file says of them.
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
        overwrite: bool = False,
    ) -> None:
        super().__init__(path, key="latents", dtype=dtype, metadata=metadata, overwrite=overwrite)

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
