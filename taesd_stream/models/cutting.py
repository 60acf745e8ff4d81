"""Cuts a network into passes: at every layer that has to have seen a whole plane first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

from taesd_stream.models.layers.added import Added
from taesd_stream.models.layers.attention import Attention
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.enlarging import fuse_enlarging
from taesd_stream.models.layers.global_layer import (
    NOISE_CHANNELS,
    AddKept,
    Divided,
    GlobalLayer,
    JoinKept,
    Keep,
    Part,
    ReadNoise,
)
from taesd_stream.models.layers.group_norm import GroupNorm, KnownNorm
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.passes import Pass
from taesd_stream.models.layers.plane_residual import PlaneResidual
from taesd_stream.models.layers.residual import Residual
from taesd_stream.models.shortcuts import EXACT, Shortcuts

__all__ = ["cut_into_passes"]

# What takes so many multiply-adds an element takes less time than to write the element and to read
# it twice: three elements of float32 at some 5 GB/s, at 80 G multiply-adds a second.
_MADE_AGAIN = 64


def cut_into_passes(
    layers: Iterable[Layer | Divided], channels: int, shortcuts: Shortcuts = EXACT
) -> tuple[Pass, ...]:
    """The passes that a network is run in.

    Args:
        layers: In the order in which they are run.
        channels: Channels that the first of them reads.
        shortcuts: What is not computed as the network says.
    """
    cutter = _Cutter(channels)
    for layer in layers:
        for part in _parts(layer, shortcuts):
            cutter.take(part)
    return cutter.finished()


def _parts(layer: Layer | Divided, shortcuts: Shortcuts) -> Iterator[Part]:
    if shortcuts.fast_norms and isinstance(layer, PlaneResidual):
        yield layer.known()
    elif shortcuts.fast_norms and isinstance(layer, GroupNorm):
        yield KnownNorm(layer)
    elif shortcuts.fast_attention is not None and isinstance(layer, Attention):
        yield from layer.within(shortcuts.fast_attention).parts()
    elif isinstance(layer, Divided | Residual):
        yield from layer.parts()
    else:
        yield layer


_Planes: TypeAlias = tuple[tuple[int, ...], int]
"""The numbers of planes, and their channels."""


class _Cutter:
    """Takes the parts of a network one by one."""

    def __init__(self, channels: int) -> None:
        self._passes: list[Pass] = []
        self._reads: tuple[int, ...] = (0,)
        self._channels = channels
        self._opening: GlobalLayer | None = None
        self._body: list[Layer] = []
        self._chains: dict[tuple[Layer, ...], Chain] = {}
        self._kept: defaultdict[str, list[_Planes]] = defaultdict(list)

    def take(self, part: Part) -> None:
        """Go on with the next part."""
        if isinstance(part, Layer):
            self._body.append(part)
        elif isinstance(part, AddKept):
            planes, channels = self._kept[part.pile].pop()
            self._end(Added(planes, channels, part.through))
        else:
            if self._has_begun:
                self._end()
            self._begin_with(part)

    def _begin_with(self, part: GlobalLayer | Keep | JoinKept | ReadNoise) -> None:
        if isinstance(part, Keep):
            self._kept[part.pile].append((self._reads, self._channels))
        elif isinstance(part, JoinKept):
            planes, channels = self._kept[part.pile].pop()
            self._reads, self._channels = (*self._reads, *planes), self._channels + channels
        elif isinstance(part, ReadNoise):
            self._reads = tuple(-number for number in part.numbers)
            self._channels = NOISE_CHANNELS * len(part.numbers)
        else:
            self._opening = part

    def finished(self) -> tuple[Pass, ...]:
        """All passes; the last one makes the output."""
        if self._has_begun or not self._passes:
            self._end()
        *others, last = self._passes
        return (*others, replace(last, keeps=True))

    @property
    def _has_begun(self) -> bool:
        return bool(self._body) or self._opening is not None

    def _end(self, adds: Added | None = None) -> None:
        """End a pass: the next one reads what it makes."""
        body = self._chain(tuple(self._body))
        made = Pass(self._opening, body, self._channels, self._reads, adds)
        made = replace(made, keeps=not _is_made_again(made))
        self._passes.append(made)
        self._reads, self._channels = (len(self._passes),), made.out_channels
        self._opening, self._body = None, []

    def _chain(self, layers: tuple[Layer, ...]) -> Chain:
        """The chain of some layers: one, wherever the same ones follow each other again."""
        if layers not in self._chains:
            self._chains[layers] = Chain(fuse_enlarging(layers))
        return self._chains[layers]


def _is_made_again(each: Pass) -> bool:
    """Whether it costs less to make a plane again than to keep it."""
    if each.opening is not None or each.adds is not None or each.reads != (0,):
        return False
    channels, work = each.channels, 0
    for layer in each.body.layers:
        if layer.kept_steps:
            return False
        work += sum(int(part.multiplied) for part in layer.work(channels))
        channels = layer.out_channels(channels)
    return work <= _MADE_AGAIN * channels
