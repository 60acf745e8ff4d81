"""Convolutions along time, over the frames of a chunk that lie in a tile together."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taesd_stream.models.layers.layer import Layer, Work
from taesd_stream.models.layers.operators import Operator
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState

__all__ = ["MixFactor", "TemporalConv"]


class MixFactor(nn.Module):
    """How much of a temporal block is added: sigmoid of a number that was learned."""

    def __init__(self) -> None:
        super().__init__()
        self.mix_factor = nn.Parameter(torch.empty(1))

    def __call__(self) -> Tensor:
        """(1,), from 0 to 1."""
        return torch.sigmoid(self.mix_factor)


class TemporalConv(Layer):
    """A convolution over three frames of a pixel: the one before, its own and the one after.

    Before the first frame of a chunk and after the last there are zeros. All frames of the chunk
    lie in every tile, in their order.

    Args:
        channels_in: Input channels.
        channels_out: Output channels.
        mix: Scales what is made; None leaves it as it is.
    """

    def __init__(self, channels_in: int, channels_out: int, mix: MixFactor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, 3, 1, 1))
        self.bias = nn.Parameter(torch.empty(channels_out))
        self._mix = () if mix is None else (mix,)
        self._is_folded = False
        self._fixed: tuple[Tensor, Tensor] | None = None

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield self._made

    def plain(self, tensor: Tensor) -> Tensor:
        weights, bias = self._scaled()
        padded = F.pad(tensor.movedim(0, 1)[None], (0, 0, 0, 0, 1, 1))
        # (3, C', C) to what a convolution over three axes takes.
        made = F.conv3d(padded, weights.permute(1, 2, 0)[..., None, None], bias)
        return made[0].movedim(1, 0)

    def fold(self) -> None:
        self._is_folded = True

    def out_channels(self, channels: int) -> int:
        return self.weight.shape[0]

    def work(self, channels: int) -> Iterator[Work]:
        yield Work(self.weight.numel(), self.weight.shape[0])

    def extents(self, span: Span) -> Iterator[int]:
        yield span.want.size

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return rows.want.size * columns.want.size * (channels + self.weight.shape[0])

    def _made(self, tensor: Tensor, state: TileState, /) -> Tensor:
        weights, bias = self._weights()
        frames, _, high, wide = tensor.shape
        # (frames, pixels, C): a view of what lies in memory pixel by pixel.
        pixels = tensor.permute(0, 2, 3, 1).reshape(frames, high * wide, -1)
        made = F.linear(pixels, weights[1], bias)
        for lag, weight in ((1, weights[0]), (-1, weights[2])):
            later, earlier = max(0, lag), max(0, -lag)
            to = made[later : frames - earlier].flatten(0, 1)
            to.addmm_(pixels[earlier : frames - later].flatten(0, 1), weight.T)
        return made.view(frames, high, wide, -1).permute(0, 3, 1, 2)

    def _weights(self) -> tuple[Tensor, Tensor]:
        """(3, C', C) and (C',), scaled once for all where they do not change any more."""
        if not self._is_folded:
            return self._scaled()
        if self._fixed is None:
            weights, bias = self._scaled()
            self._fixed = weights.detach().contiguous(), bias.detach()
        return self._fixed

    def _scaled(self) -> tuple[Tensor, Tensor]:
        weights = self.weight[..., 0, 0].permute(2, 0, 1)
        if not self._mix:
            return weights, self.bias
        # Products in float32 at least: in 16 bits the factor would be rounded, too.
        factor = self._mix[0]()
        factor = factor.to(torch.promote_types(factor.dtype, torch.float32))
        return (weights * factor).to(weights.dtype), (self.bias * factor).to(weights.dtype)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_fixed": None}
