"""Latents in memory whose axes are not those that a model takes, brought into their order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from taesd_stream.latents.layout_by_content import layout_by_content
from taesd_stream.latents.packed_choice import may_be_packed, packed_reading
from taesd_stream.latents.read_options import LatentOptions, ReadOptions
from taesd_stream.latents.source import LatentSource
from taesd_stream.latents.tensors import TensorStore

__all__ = ["Batch", "as_batch", "in_time"]

_TIME_FIRST, _TIME_SECOND = "T C H W", "C T H W"

_log = logging.getLogger("taesd_stream")


@dataclass(frozen=True, slots=True)
class Batch:
    """Latents as a model takes them.

    Attributes:
        latents: (N, C, h, w) or (N, T, C, h, w); or whatever else was given.
        is_one_video: Whether they are one video that was given without its N.
    """

    latents: Tensor
    is_one_video: bool = False


def as_batch(z: Tensor, channels: int, size: tuple[int, int] | None) -> Batch:
    """Latents that may be packed, or have their channels before time, in the model's order.

    Args:
        z: What ``decode`` was given.
        channels: Of the model's latents.
        size: Height and width of the picture in pixels, for packed ones.

    Raises:
        LatentsError: They are packed, and their size is not known.
    """
    if not isinstance(z, Tensor):
        return Batch(z)
    if _has_time_second(z, channels):
        return Batch(z.transpose(0, 1)[None], is_one_video=True)
    read = _reader(z, channels, size)
    if read is None:
        return Batch(z)
    if z.requires_grad:
        # A source hands out copies. One of places, read alike, tells where each number is from.
        source = read(torch.arange(z.numel(), dtype=torch.float64).view(z.shape))
        latents = z.flatten()[source[:].long().to(z.device)]
    else:
        source = read(z)
        latents = source[:].to(z.device)
    length = len(latents) // source.clips
    return Batch(latents if length == 1 else latents.view(-1, length, *latents.shape[1:]))


def in_time(latents: Iterable[Tensor], channels: int) -> Iterable[Tensor]:
    """Latents of a stream, one by one in the order of time; as they are where they are no tensor.

    Raises:
        LatentsError: They are packed, and their size is not known.
    """
    if not isinstance(latents, Tensor):
        return latents
    if _has_time_second(latents, channels):
        return latents.transpose(0, 1)
    read = _reader(latents, channels, None)
    return latents if read is None else read(latents)


def _reader(
    z: Tensor, channels: int, size: tuple[int, int] | None
) -> Callable[[Tensor], LatentSource] | None:
    """The way to read these numbers, and others that lie as they do; None if none are packed."""
    if z.dim() > 4 or not z.is_floating_point():
        return None
    if size is None and not may_be_packed(tuple(z.shape), channels):
        return None
    options = ReadOptions(channels=frozenset([channels]), size=LatentOptions(size=size).size)
    reading = packed_reading(TensorStore(z, "latents"), options, "latents")
    if reading is None:
        return None

    def read(numbers: Tensor) -> LatentSource:
        store = TensorStore(numbers, "latents")
        return reading.source(store, options, name="latents", kind="memory", metadata=None)

    return read


def _has_time_second(z: Tensor, channels: int) -> bool:
    """Whether the numbers of four axes, T as long as C, say that these are C, T, h and w."""
    if z.dim() != 4 or z.shape[:2] != (channels, channels) or not z.numel():
        return False
    readings = (_TIME_FIRST, _TIME_SECOND)
    told = layout_by_content(TensorStore(z, "latents"), readings, usual=_TIME_FIRST)
    if told is None or told.layout != _TIME_SECOND:
        return False
    _log.info("latents: taken as C T H W, told by content: %s", told.because)
    return True
