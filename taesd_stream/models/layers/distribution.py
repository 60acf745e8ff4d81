"""The distribution that an encoder finds for latents: its mean, or a sample that is drawn.

Source: github.com/huggingface/diffusers, DiagonalGaussianDistribution in vae.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from taesd_stream.models.layers.global_layer import (
    NOISE_CHANNELS,
    Divided,
    JoinKept,
    Keep,
    Part,
    ReadNoise,
)
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.operators import Operator, on_tensor
from taesd_stream.models.layers.plain_parts import plain_parts
from taesd_stream.models.layers.pointwise import FirstChannels
from taesd_stream.models.layers.span import Span

__all__ = ["Mean", "Sample"]

_LOG_VARIANCES: Final = (-30.0, 20.0)
"""What logarithms of variances are cut to."""


class Mean(FirstChannels):
    """The means, of channels that are means and then logarithms of variances.

    Args:
        channels: Means.
    """

    def sample(self) -> Sample:
        """What draws instead."""
        return Sample(self.kept)


class Sample(Divided):
    """Means and deviations times noise, of channels that are means and logarithms of variances.

    Args:
        channels: Means.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self._channels = channels
        self._drawn = _Drawn(channels)

    def parts(self) -> Iterator[Part]:
        planes = -(-self._channels // NOISE_CHANNELS)
        yield Keep("distribution")
        yield ReadNoise(tuple(range(1, planes + 1)))
        yield JoinKept("distribution")
        yield self._drawn

    def plain(self, tensor: Tensor) -> Tensor:
        return plain_parts(self.parts(), tensor)


class _Drawn(Layer):
    """The same, of channels of noise, of which the first are gone by, and those behind them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self._channels = channels

    def operators(self, rows: Span, columns: Span, *, sweeps: bool = False) -> Iterator[Operator]:
        yield on_tensor(self.plain)

    def plain(self, tensor: Tensor) -> Tensor:
        noise = tensor[:, : self._channels]
        mean, log_variance = tensor[:, -2 * self._channels :].chunk(2, dim=1)
        deviation = log_variance.float().clamp(*_LOG_VARIANCES).mul(0.5).exp()
        return torch.addcmul(mean.float(), deviation, noise.float()).to(tensor.dtype)

    def out_channels(self, channels: int) -> int:
        return self._channels

    def peak(self, rows: Span, columns: Span, channels: int) -> int:
        return 3 * super().peak(rows, columns, channels)
