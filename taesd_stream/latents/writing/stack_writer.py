"""Equal tensors into one .npy or .safetensors file, one at a time, in bounded memory."""

from __future__ import annotations

import os

import torch

from taesd_stream.errors import InputError
from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.latents.writing.array_file import HEADER_BYTES, ArrayFile

__all__ = ["StackWriter"]


class StackWriter(ArrayFile):
    """Writes tensors of one shape as one array, (T, ...), that is complete or not there.

    After KeyboardInterrupt the tensors that were written stay in ``kept_part``, a valid file.

    Args:
        path: the .npy or .safetensors file to make.
        key: the array's name in a .safetensors file.
        dtype: of the stored numbers; None is the first tensor's dtype.
        metadata: what a .safetensors file says of latents.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: as :class:`ArrayFile`, or (when the block ends) nothing was written.
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
        metadata: LatentMetadata | None = None,
        overwrite: bool = False,
    ) -> None:
        super().__init__(path, key=key, metadata=metadata, overwrite=overwrite)
        self._dtype = dtype
        self._shape: tuple[int, ...] = ()
        if dtype is not None:
            self._header(dtype, ())

    def write(self, tensor: torch.Tensor) -> None:
        """Append a tensor of the first one's shape, from any device.

        Raises:
            InputError: its shape is another, or there is no open block.
        """
        shape = tuple(tensor.shape)
        if tensor.numel() == 0 or shape != (self._shape or shape):
            raise InputError(
                f"expected {self._key} of shape {self._shape or 'other than empty'}, found "
                f"{shape} at number {self.frames_written}: write equal ones, one at a time"
            )
        dtype = self._dtype or tensor.dtype
        if not self._shape:
            self._header(dtype, (1, *shape))
            self._dtype, self._shape = dtype, shape
        numbers = tensor.detach().to("cpu", dtype).contiguous()
        place = HEADER_BYTES + self.frames_written * numbers.nbytes
        self._put(place, numbers.view(torch.uint8).numpy().data)
        self.frames_written += 1

    def _finished(self) -> tuple[torch.dtype, tuple[int, ...]]:
        if self._dtype is None or not self.frames_written:
            raise InputError(
                f"expected {self._key} to write to {self.path}, found none: write at least one"
            )
        return self._dtype, (self.frames_written, *self._shape)
