"""Sources of packed latents, once it is known that they are packed, how, and how large."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import LatentsError, LayoutError
from taesd_stream.latents.layouts import KNOWN_CHANNELS, possible_layouts
from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.latents.packed_by_content import (
    Numbers,
    Rows,
    channels_last,
)
from taesd_stream.latents.packed_store import PatchPlanes, Tokens
from taesd_stream.latents.packing import (
    PACKED,
    Grid,
    Packing,
    grid_of_size,
    likely_grids,
    pack_of_planes,
    packings_of,
    square_grid,
)
from taesd_stream.latents.source import StoredSource

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from taesd_stream.latents.read_options import ReadOptions
    from taesd_stream.latents.source import Store

__all__ = ["PackedReading", "packed_reading"]

_LAYOUT: Final = "N C T H W"
_MOST_SIZES: Final = 4
_FEWEST_FEATURES: Final = 48
"""Planes of fewer columns are too small to be doubted."""

_PACKED_CHANNELS: Final = KNOWN_CHANNELS - {4}
"""The channels of latents that are known to be packed."""

_log = logging.getLogger("taesd_stream")


@dataclass(frozen=True, slots=True)
class PackedReading:
    """The way in which an array is read that is packed.

    Attributes:
        packing: How.
        are_planes: Whether patches are stored as planes, or else as tokens.
        was_told: Whether the numbers told so, where the axes fit planes, too.
    """

    packing: Packing
    are_planes: bool = False
    was_told: bool = False

    def source(
        self,
        store: Store,
        options: ReadOptions,
        *,
        name: str,
        kind: str,
        metadata: LatentMetadata | None,
    ) -> StoredSource:
        """The source of an array that is read so.

        Raises:
            LatentsError: Its size is not known, or not the one that was given.
        """
        known = metadata or LatentMetadata()
        if self.are_planes and known.convention is not None:
            # ComfyUI's latents of FLUX.2 have this form, and alone of all are normalised.
            known = replace(known, convention="model")
        grid = self._grid(store, options.size or known.size, name)
        packs = math.prod(store.shape[: -3 if self.are_planes else -2])
        opener = PatchPlanes if self.are_planes else Tokens
        unpacked = opener(store, self.packing, grid, packs)
        remark = self._remark(store, unpacked.shape, grid)
        if options.alike is None:
            _log.info("%s: %s; --layout (layout= in Python) overrides this", name, remark)
        return StoredSource(
            unpacked,
            _LAYOUT,
            name=name,
            kind=kind,
            remark=remark,
            part_layout=PACKED,
            metadata=known,
        )

    def _grid(self, store: Store, size: tuple[int, int] | None, name: str) -> Grid:
        """The place of the tokens."""
        if self.are_planes:
            token = self.packing.scales[0] * self.packing.side
            rows, columns = store.shape[-2:]
            return Grid(1, rows, columns, token)
        tokens = store.shape[-2]
        square = square_grid(self.packing, tokens)
        others = [grid for grid in likely_grids(self.packing, tokens) if grid != square]
        if size is not None:
            grid = grid_of_size(self.packing, tokens, size)
            if grid is not None:
                _warn_of_another_size(store, self.packing, grid, name)
                return grid
        elif square is not None and not Rows(store).speak_against(square, others):
            return square
        grids = others if square is None else [square, *others]
        likely = Rows(store).likeliest(grids)[:_MOST_SIZES]
        found = "" if size is None else f" and the size {size[1]}x{size[0]}"
        raise LayoutError(
            f"{name}: expected packed latents whose size is known, found {tokens} tokens of"
            f" {self.packing}{found}: give --size WIDTHxHEIGHT (size=(height, width) in Python),"
            f" such as {' or '.join(map(str, likely)) or 'that of the picture'}",
            readings=(),
        )

    def _remark(self, store: Store, shape: tuple[int, ...], grid: Grid) -> str:
        clips, _, times, *_ = shape
        what = f"{clips} picture{'s' * (clips > 1)}"
        if times > 1:
            what = f"{clips} video{'s' * (clips > 1)} of {times} latents"
        told = ", told by content" if self.was_told else ""
        return (
            f"taken as packed{told}: {tuple(store.shape)} is {what} of {grid.pixels} pixels in"
            f" {self.packing}"
        )


def packed_reading(store: Store, options: ReadOptions, name: str) -> PackedReading | None:
    """The way in which an array is packed; None where it is not.

    Where the axes fit planes, too, its numbers are asked: packed it is only if they say so.

    Raises:
        LatentsError: It is said to be packed, and cannot be.
        LayoutError: It may be packed in several ways, or its numbers contradict the channels.
    """
    shape = tuple(store.shape)
    if options.layout not in (None, PACKED) or 0 in shape:
        return None
    fitting = _fitting(shape, options.channels or _PACKED_CHANNELS)
    if options.layout == PACKED:
        if not fitting:
            raise LatentsError(
                f"{name}: expected packed latents, (N, tokens, features) of"
                f" {_counts(options.possible_channels)} channels, found shape {shape}: leave"
                " --layout packed out, or name the model that they are for"
            )
        return _only(fitting, store, name)
    if options.alike is not None:
        return _only(fitting, store, name) if fitting and options.alike == PACKED else None
    plain = possible_layouts(shape, options.possible_channels)
    if plain and len(shape) == 3 and shape[-1] < _FEWEST_FEATURES:
        return None
    told = _told(store, fitting)
    if told is not None:
        return replace(told, was_told=bool(plain))
    if options.size is not None and plain and _has_size(shape, fitting, options.size):
        return _only(fitting, store, name)
    _refuse_other_channels(store, options, name, plain=plain, fitting=fitting)
    if plain or not fitting or _look_like_planes(store, fitting):
        return None
    return _only(fitting, store, name)


def _has_size(
    shape: tuple[int, ...], fitting: Sequence[PackedReading], size: tuple[int, int]
) -> bool:
    """Whether tokens, but not planes, make a picture of the size that is given."""
    tokens = [each.packing for each in fitting if not each.are_planes]
    grids = [grid_of_size(packing, shape[-2], size) for packing in tokens]
    is_planes = any(
        (scale * shape[-2], scale * shape[-1]) == size for each in tokens for scale in each.scales
    )
    return not is_planes and any(grid is not None and grid.times == 1 for grid in grids)


def _warn_of_another_size(store: Store, packing: Packing, grid: Grid, name: str) -> None:
    """Say so where the tokens of one picture plainly have another size than is given."""
    others = [each for each in likely_grids(packing, store.shape[-2]) if each != grid]
    if grid.times > 1:
        return
    rows = Rows(store)
    if rows.speak_against(grid, others):
        _log.warning(
            "%s: in pictures of %s pixels neighbours look far more alike than in ones of %s: if the"
            " picture is scrambled, give that --size",
            name,
            rows.likeliest(others)[0],
            grid,
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


def _told(store: Store, fitting: Sequence[PackedReading]) -> PackedReading | None:
    """The first of the readings that the numbers agree with."""
    for reading in fitting:
        numbers = Numbers(store, are_planes=reading.are_planes)
        for packing in (reading.packing, channels_last(reading.packing)):
            if numbers.fit(packing):
                return replace(reading, packing=packing)
    return None


def _look_like_planes(store: Store, fitting: Sequence[PackedReading]) -> bool:
    """Whether numbers say that these are no tokens but planes, of whatever channels."""
    tokens = [each for each in fitting if not each.are_planes]
    numbers = Numbers(store) if tokens else None
    return numbers is not None and all(numbers.fit(each.packing) is False for each in tokens)


def _only(fitting: Sequence[PackedReading], store: Store, name: str) -> PackedReading:
    """The one reading that there is, or that the numbers agree with."""
    told = _told(store, fitting)
    if told is None and len(fitting) > 1:
        counts = _counts([each.packing.channels for each in fitting])
        either = " or ".join(str(each.packing) for each in fitting)
        raise LayoutError(
            f"{name}: packed latents of shape {tuple(store.shape)} may be {either}: name a model"
            f" of {counts} channels with --model",
            readings=(),
        )
    return told or fitting[0]


def _refuse_other_channels(
    store: Store,
    options: ReadOptions,
    name: str,
    *,
    plain: Sequence[str],
    fitting: Sequence[PackedReading],
) -> None:
    """Refuse packed latents of other channels than they are to have.

    Args:
        plain: The layouts that they may have as planes.
        fitting: How they may be packed with the channels that they are to have.

    Raises:
        LayoutError: The numbers tell that they are packed otherwise, or nothing else is possible.
    """
    shape = tuple(store.shape)
    others = _fitting(shape, _PACKED_CHANNELS)
    told = _told(store, others)
    if told is None and (plain or fitting or not others or _look_like_planes(store, others)):
        return
    found = _counts([each.packing.channels for each in ([told] if told is not None else others)])
    planes = "".join(plain[0].split()) if plain else ""
    raise LayoutError(
        f"{name}: expected latents of {_counts(options.possible_channels)} channels, found shape"
        f" {shape}, which is packed latents of {found} channels: use the model that they are for"
        + f", or --layout {planes} if they are not packed"
        * bool(plain),
        readings=(),
    )


def _counts(channels: Collection[int]) -> str:
    return " or ".join(str(count) for count in sorted(set(channels)))
