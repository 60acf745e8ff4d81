"""Equal tensors into one file, one at a time, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

from taesd_stream.errors import InputError
from taesd_stream.latents.writing.array_file import ArrayFile
from taesd_stream.latents.writing.array_formats import ArrayFormat

__all__ = ["StackWriter"]


class StackWriter(ArrayFile):
    """Writes tensors of one shape as one array, (T, ...), that is complete or not there.

    After KeyboardInterrupt the tensors that were written stay in ``kept_part``, a valid file.

    Args:
        path, suffixes, file_format, overwrite: as of :class:`ArrayFile`.
        what: the name of what is written, for errors.
        dtype: of the stored numbers; None is the first tensor's dtype.

    Raises:
        InputError: as :class:`ArrayFile`, or (when the block ends) nothing was written.
        OutputError: the disk is full.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        suffixes: tuple[str, ...],
        file_format: Callable[[str], ArrayFormat],
        *,
        what: str,
        dtype: torch.dtype | None,
        overwrite: bool,
    ) -> None:
        super().__init__(path, suffixes, file_format, overwrite=overwrite)
        self._what, self._dtype = what, dtype
        self._shape: tuple[int, ...] = ()
        if dtype is not None:
            self._format.check_dtype(dtype)

    def write(self, tensor: torch.Tensor) -> None:
        """Append a tensor of the first one's shape, from any device.

        Raises:
            InputError: its shape is another, or there is no open block.
        """
        shape = tuple(tensor.shape)
        if tensor.numel() == 0 or shape != (self._shape or shape):
            raise InputError(
                f"expected {self._what} of shape {self._shape or 'other than empty'}, found "
                f"{shape} at number {self.frames_written}: write equal ones, one at a time"
            )
        dtype = self._dtype or tensor.dtype
        if not self._shape:
            self._format.check_dtype(dtype)
            self._dtype, self._shape = dtype, shape
        numbers = tensor.detach().to("cpu", dtype).contiguous()
        place = self.frames_written * numbers.nbytes
        self._put(place, numbers.view(torch.uint8).numpy().data)
        self.frames_written += 1

    def _finished(self) -> tuple[torch.dtype, tuple[int, ...]]:
        if self._dtype is None or not self.frames_written:
            raise InputError(
                f"expected {self._what} to write to {self.path}, found none: write at least one"
            )
        return self._dtype, (self.frames_written, *self._shape)
