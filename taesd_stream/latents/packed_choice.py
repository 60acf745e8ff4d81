"""The way in which an array is packed, told by its axes, by the channels and by its numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import LatentsError, LayoutError
from taesd_stream.latents.layouts import KNOWN_CHANNELS, possible_layouts
from taesd_stream.latents.opening_packed import PackedReading
from taesd_stream.latents.packed_by_content import Numbers, orders_of
from taesd_stream.latents.packing import PACKED, pack_of_planes, packings_of, raster_of_size

if TYPE_CHECKING:
    from taesd_stream.latents.read_options import ReadOptions
    from taesd_stream.latents.source import Store

__all__ = ["may_be_packed", "packed_reading"]

_FEWEST_FEATURES: Final = 48
"""Planes of fewer columns are too small to be doubted."""

_PACKED_CHANNELS: Final = KNOWN_CHANNELS - {4, 64}
"""The channels of latents that are known to be packed where no model says how many there are.

Tokens of 64 features are far more often four of 16 channels than one of Qwen-Image 2.1's.
"""


@lru_cache(maxsize=256)
def may_be_packed(shape: tuple[int, ...], channels: int) -> bool:
    """Whether axes fit packed latents of so many channels, or of others."""
    return bool(_fitting(shape, [channels]) or _fitting(shape, _PACKED_CHANNELS))


def packed_reading(store: Store, options: ReadOptions, name: str) -> PackedReading | None:
    """The way in which an array is packed; None where it is not.

    Where the axes fit planes, too, its numbers are asked: packed it is only if they say so.

    Raises:
        LatentsError: It is said to be packed, and cannot be.
        LayoutError: It may be packed in several ways, or its numbers contradict the channels.
    """
    if options.layout not in (None, PACKED) or 0 in store.shape:
        return None
    choice = _Choice(store, options, name)
    if options.layout == PACKED:
        return choice.said()
    if options.alike is not None:
        return choice.only() if choice.fitting and options.alike == PACKED else None
    return choice.told()


class _Choice:
    """The readings of one array, of which one is chosen.

    Args:
        store: The array.
        options: How it is read.
        name: As errors call it.

    Attributes:
        fitting: How it may be packed with the channels that it is to have.
    """

    def __init__(self, store: Store, options: ReadOptions, name: str) -> None:
        self._store, self._options, self._name = store, options, name
        self._shape = tuple(store.shape)
        self._numbers: dict[bool, Numbers] = {}
        layouts = possible_layouts(self._shape, options.possible_channels)
        self._plain = [layout for layout in layouts if not layout.endswith("C")]
        self.fitting = _fitting(self._shape, options.channels or _PACKED_CHANNELS)

    def said(self) -> PackedReading:
        """The reading, where the user says that it is packed."""
        if self.fitting:
            return self.only()
        raise LatentsError(
            f"{self._name}: expected packed latents, (N, tokens, features) of"
            f" {_counts(self._options.possible_channels)} channels, found shape {self._shape}:"
            " leave --layout packed (layout= in Python) out, or name the model that they are for"
        )

    def only(self) -> PackedReading:
        """The one reading that there is, or that the numbers agree with."""
        found = self._agreeing(self.fitting)
        if found is None and len(self.fitting) > 1:
            either = " or ".join(str(each.packing) for each in self.fitting)
            raise LayoutError(
                f"{self._name}: packed latents of shape {self._shape} may be {either}: name a model"
                f" of {_channels_of(self.fitting)} channels with --model (model= in"
                " Python)",
                readings=(),
            )
        return found or self.fitting[0]

    def told(self) -> PackedReading | None:
        """The reading, if nobody says anything; None for planes."""
        if self._plain and len(self._shape) == 3 and self._shape[-1] < _FEWEST_FEATURES:
            return None
        found = self._agreeing(self.fitting)
        if found is not None:
            return replace(found, was_told=bool(self._plain))
        if self._plain and self._has_the_size():
            return self.only()
        self._refuse_other_channels()
        if self._plain or not self.fitting or self._look_like_planes(self.fitting):
            return None
        return self.only()

    def _agreeing(self, readings: Sequence[PackedReading]) -> PackedReading | None:
        """The first of the readings that the numbers agree with."""
        for reading in readings:
            for packing in orders_of(reading.packing):
                if self._look(are_planes=reading.are_planes).fit(packing):
                    return replace(reading, packing=packing)
        return None

    def _look_like_planes(self, readings: Sequence[PackedReading]) -> bool:
        """Whether numbers say that these are no tokens but planes, of whatever channels."""
        tokens = [each.packing for each in readings if not each.are_planes]
        return bool(tokens) and all(
            self._look(are_planes=False).fit(each) is False for each in tokens
        )

    def _look(self, *, are_planes: bool) -> Numbers:
        """A few of the numbers, read once."""
        if are_planes not in self._numbers:
            self._numbers[are_planes] = Numbers(self._store, are_planes=are_planes)
        return self._numbers[are_planes]

    def _has_the_size(self) -> bool:
        """Whether tokens, and not planes, make pictures of the size that is given."""
        size, (rows, columns) = self._options.size, self._shape[-2:]
        if size is None:
            return False
        tokens = [each.packing for each in self.fitting if not each.are_planes]
        rasters = [raster_of_size(packing, rows, size) for packing in tokens]
        scales = {scale for packing in tokens for scale in packing.scales}
        is_of_planes = any((scale * rows, scale * columns) == size for scale in scales)
        return not is_of_planes and any(
            raster is not None and raster.times == 1 for raster in rasters
        )

    def _refuse_other_channels(self) -> None:
        """Refuse packed latents of other channels than they are to have.

        Raises:
            LayoutError: The numbers tell that they are packed so, or nothing else is possible.
        """
        others = _fitting(self._shape, _PACKED_CHANNELS)
        found = self._agreeing(others)
        may_be_else = self._plain or self.fitting or not others
        if found is None and (may_be_else or self._look_like_planes(others)):
            return
        otherwise = ""
        if self._plain:
            layout = self._plain[0].replace(" ", "")
            otherwise = f", or --layout {layout} (layout= in Python) if they are not packed"
        raise LayoutError(
            f"{self._name}: expected latents of {_counts(self._options.possible_channels)}"
            f" channels, found shape {self._shape}, which is packed latents of"
            f" {_channels_of(others if found is None else [found])} channels: use the model that"
            f" they are for{otherwise}",
            readings=(),
        )


def _fitting(shape: tuple[int, ...], channels: Collection[int]) -> list[PackedReading]:
    """Every reading of a shape as packed latents of one of ``channels``."""
    found = []
    if len(shape) in (2, 3):
        found += [PackedReading(packing) for packing in packings_of(shape[-1], channels)]
    packing = pack_of_planes(shape[-3], channels) if len(shape) in (3, 4) else None
    if packing is not None:
        found.append(PackedReading(packing, are_planes=True))
    return found


def _channels_of(readings: Sequence[PackedReading]) -> str:
    return _counts([each.packing.channels for each in readings])


def _counts(channels: Collection[int]) -> str:
    return " or ".join(str(count) for count in sorted(set(channels)))
