"""Attention over a whole plane, as full VAEs have it at the resolution of latents."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taesd_stream.models.layers.convolve import convolve
from taesd_stream.models.layers.global_layer import (
    AddKept,
    Completed,
    GlobalLayer,
    Keep,
    Part,
    Seen,
    WholePlane,
)
from taesd_stream.models.layers.group_norm import GroupNorm
from taesd_stream.models.layers.layer import Work
from tiling import Block, Interval, Region, Size, chunks

__all__ = ["Attention"]

_QUERIES = 1024
_KEYS = 2048


class _Pointwise(NamedTuple):
    """A linear map of every pixel.

    Attributes:
        weight: (C, C), or (C, C, 1, 1) as convolutions have it.
        bias: (C,).
    """

    weight: Tensor
    bias: Tensor

    def of(self, dtype: torch.dtype) -> _Pointwise:
        """The same as a convolution of a dtype."""
        return _Pointwise(self.weight[..., None, None].to(dtype), self.bias.to(dtype))


class Attention(GlobalLayer):
    """x + attention(norm(x)): every pixel to all pixels of the plane, with one head.

    Neither keys nor values are kept. Of a query q and a pixel x, both normalised, the score is
    (Wq q + bq) (Wk x + bk) = (Wk' (Wq q + bq)) x + something that is the same for all x, and
    cancels out; the sum of values is Wv times the sum of pixels, plus bv. So the pixels themselves
    are keys and values at once, and all matrices are applied to queries and to sums of pixels.
    Blocks of pixels follow each other with a running maximum and sum (Milakov and Gimelshein,
    Online normalizer calculation for softmax, 2018): memory does not grow with the plane.

    Within windows, all pixels of a cell of that size attend to it and to half of one around it.

    Its parameters have the names of diffusers' ``Attention``.

    Args:
        channels: Channels of the plane, all of them one head's.
        groups: Groups of the norm.
        eps: Of the norm.
    """

    reads_all = True

    window: int | None = None

    def __init__(self, channels: int, groups: int = 32, eps: float = 1e-6) -> None:
        super().__init__()
        self.channels = channels
        self.group_norm = GroupNorm(channels, groups, eps, silu=False)
        for name in ("to_q", "to_k", "to_v"):
            self.add_module(name, nn.Linear(channels, channels))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def parts(self) -> Iterator[Part]:
        yield Keep()
        yield self
        yield AddKept()

    def plain(self, tensor: Tensor) -> Tensor:
        frames, channels, *plane = tensor.shape
        pixels = self.group_norm.plain(tensor).flatten(2).mT
        q, k, v = (self.get_submodule(name)(pixels)[:, None] for name in ("to_q", "to_k", "to_v"))
        made: Tensor = self.to_out[0](F.scaled_dot_product_attention(q, k, v)[:, 0])
        return tensor + made.mT.reshape(frames, channels, *plane)

    def within(self, window: int) -> Attention:
        """The same layer, with windows of so many pixels a side."""
        other = copy(self)
        other.window, other.reads_all = window, False
        return other

    def completed(self, seen: Seen) -> Completed:
        normalised = self.group_norm.completed(seen)
        to_query, to_out = self._folded()
        whole = Size(seen.plane.height, seen.plane.width)

        def attended(tile: Tensor, block: Block) -> Tensor:
            made = torch.empty_like(tile)
            for cell, reach in self._windows(block.region, whole):
                y, x = cell.within(block.region)
                for index, frame in enumerate(range(block.frames.start, block.frames.stop)):
                    here = Block(Interval(frame, frame + 1), cell)
                    part = tile[index : index + 1, :, y, x]
                    queries = _pixels(convolve(normalised(part, here), *to_query)).to(torch.float32)
                    sums = torch.empty_like(queries)
                    for start in range(0, queries.shape[0], _QUERIES):
                        some = slice(start, start + _QUERIES)
                        keys = _keys(seen.plane, normalised, Block(here.frames, reach))
                        sums[some] = _weighted(queries[some], keys)
                    there = sums.to(tile.dtype).view(*cell.shape, -1).permute(2, 0, 1)[None]
                    made[index : index + 1, :, y, x] = convolve(there, *to_out)
            return made

        return attended

    def _windows(self, region: Region, plane: Size) -> Iterator[tuple[Region, Region]]:
        """The parts of a region whose pixels attend to the same pixels, and these."""
        if self.window is None:
            yield region, Region.whole(plane)
            return
        window = self.window
        rows, columns = (
            [piece.shift(cells.start).scale(window) for piece in chunks(cells.size, 1)]
            for cells in (region.y.divide(window), region.x.divide(window))
        )
        for y, x in product(rows, columns):
            around = Region(y.grow(window // 2), x.grow(window // 2)).clip(plane)
            yield Region(y, x).overlap(region), around

    def _folded(self) -> tuple[_Pointwise, _Pointwise]:
        """From a pixel to what it seeks in pixels; from the sum of those to what is made of it."""
        q, k, v = (self._of(self.get_submodule(name)) for name in ("to_q", "to_k", "to_v"))
        out = self._of(self.to_out[0])
        scale = self.channels**-0.5
        seeking = k.weight.T @ q.weight * scale, k.weight.T @ q.bias * scale
        making = out.weight @ v.weight, out.weight @ v.bias + out.bias
        dtype = self.to_out[0].get_parameter("weight").dtype
        return _Pointwise(*seeking).of(dtype), _Pointwise(*making).of(dtype)

    @staticmethod
    def _of(linear: nn.Module) -> _Pointwise:
        weight, bias = linear.get_parameter("weight"), linear.get_parameter("bias")
        return _Pointwise(weight.double(), bias.double())

    def work(self, plane_area: int) -> Work:
        of_norm = self.group_norm.work(plane_area)
        sought = plane_area if self.window is None else min(plane_area, (2 * self.window) ** 2)
        multiplied = 2 * self.channels**2 + 2 * self.channels * sought
        return Work(of_norm.multiplied + multiplied, self.channels)

    def peak(self, area: int, plane_area: int, frames: int = 1) -> int:
        queries, keys = min(area, _QUERIES), min(plane_area, _KEYS)
        block = queries * (2 * self.channels + 3 * keys) + 3 * keys * self.channels
        # Frame by frame, so that only what is read and made is held of all of them.
        return (2 * frames + 3) * area * self.channels + block


def _keys(plane: WholePlane, normalised: Completed, block: Block) -> Iterator[Tensor]:
    """All pixels of a block, normalised: (pixels, C) in float32, some at a time."""
    y, x = block.region.y, block.region.x
    for rows in chunks(y.size, max(1, _KEYS // x.size)):
        some = Block(block.frames, Region(rows.shift(y.start), x))
        band = normalised(plane.read(some.frames.start, some.region), some)
        yield from torch.split(_pixels(band).to(torch.float32), _KEYS)


def _weighted(queries: Tensor, keys: Iterator[Tensor]) -> Tensor:
    """The sum of the pixels that each query seeks, weighted by softmax: (queries, C)."""
    most = queries.new_full((queries.shape[0], 1), -torch.inf)
    weights = torch.zeros_like(most)
    sums = torch.zeros_like(queries)
    for pixels in keys:
        scores = queries @ pixels.T
        higher = torch.maximum(most, scores.amax(dim=1, keepdim=True))
        shrunk = (most - higher).exp_()
        scores.sub_(higher).exp_()
        weights.mul_(shrunk).add_(scores.sum(dim=1, keepdim=True))
        sums.mul_(shrunk).addmm_(scores, pixels)
        most = higher
    return sums.div_(weights)


def _pixels(tensor: Tensor) -> Tensor:
    """(1, C, h, w) as (h * w, C)."""
    return tensor[0].permute(1, 2, 0).flatten(0, 1)
