"""Packed latents as planes: an array that unpacks the tokens of the rows that are read."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final

import torch
from einops import rearrange

from taesd_stream.latents.source import Store

if TYPE_CHECKING:
    from taesd_stream.latents.packing import Packing, Raster

__all__ = ["PatchPlanes", "Tokens"]

_PIECE_NUMBERS: Final = 2**22
"""Numbers that are unpacked at a time."""


class _Unpacked(Store):
    """Packed latents as (N, C, T, h, w); pictures have one T each.

    Args:
        packed: The array as it is stored.
        packing: How.
        raster: The place of its tokens.
        packs: The number of arrays of ``raster`` that it holds.
    """

    def __init__(self, packed: Store, packing: Packing, raster: Raster, packs: int) -> None:
        self._packed, self._packing, self._raster = packed, packing, raster
        times = raster.times if packing.is_of_videos else 1
        frames = packs * raster.times
        height, width = raster.rows * packing.side, raster.columns * packing.side
        self.shape = (frames // times, packing.channels, times, height, width)
        self.dtype = packed.dtype

    def copy_to(self, out: torch.Tensor, index: tuple[slice, ...]) -> None:
        clips, channels, times, rows, columns = index
        side = self._packing.side
        most = max(1, _PIECE_NUMBERS // (self._raster.columns * self._packing.features))
        stop = -(-rows.stop // side)
        for number, clip in enumerate(range(clips.start, clips.stop)):
            for place, time in enumerate(range(times.start, times.stop)):
                frame = clip * self.shape[2] + time
                for first in range(rows.start // side, stop, most):
                    piece = slice(first, min(first + most, stop))
                    planes = self._planes(self._tokens(frame, piece, columns))
                    top = max(rows.start, piece.start * side)
                    bottom = min(rows.stop, piece.stop * side)
                    left = columns.start // side * side
                    out[number, :, place, top - rows.start : bottom - rows.start] = planes[
                        channels,
                        top - piece.start * side : bottom - piece.start * side,
                        columns.start - left : columns.stop - left,
                    ]

    def close(self) -> None:
        self._packed.close()

    @abstractmethod
    def _tokens(self, frame: int, rows: slice, columns: slice) -> torch.Tensor:
        """(rows, columns, features): rows of tokens, and those that hold ``columns`` of latents."""

    def _planes(self, tokens: torch.Tensor) -> torch.Tensor:
        """(C, h, w) of tokens."""
        side = self._packing.side
        pattern = f"r k ({self._packing.order}) -> c (r p) (k q)"
        return rearrange(tokens, pattern, p=side, q=side)


class Tokens(_Unpacked):
    """Latents stored as tokens, (N, tokens, features) or (tokens, features)."""

    def _tokens(self, frame: int, rows: slice, columns: slice) -> torch.Tensor:
        raster, side, features = self._raster, self._packing.side, self._packing.features
        pack, time = divmod(frame, raster.times)
        start = (time * raster.rows + rows.start) * raster.columns
        count = (rows.stop - rows.start) * raster.columns
        index: tuple[slice, ...] = (slice(start, start + count), slice(0, features))
        if len(self._packed.shape) == 3:
            index = (slice(pack, pack + 1), *index)
        block = self._packed.block(index).view(-1, raster.columns, features)
        return block[:, columns.start // side : -(-columns.stop // side)]


class PatchPlanes(_Unpacked):
    """Latents stored as planes of patches, (N, 4C, h/2, w/2) or (4C, h/2, w/2)."""

    def _tokens(self, frame: int, rows: slice, columns: slice) -> torch.Tensor:
        side, features = self._packing.side, self._packing.features
        wide = slice(columns.start // side, -(-columns.stop // side))
        index: tuple[slice, ...] = (slice(0, features), rows, wide)
        if len(self._packed.shape) == 4:
            index = (slice(frame, frame + 1), *index)
        block = self._packed.block(index)
        return rearrange(block.view(block.shape[-3:]), "f r k -> r k f")
