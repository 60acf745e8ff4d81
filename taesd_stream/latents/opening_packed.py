"""Sources of packed latents, once it is known how they are packed."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import LayoutError
from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.latents.packed_by_content import Rows
from taesd_stream.latents.packed_store import PatchPlanes, Tokens
from taesd_stream.latents.packing import (
    PACKED,
    Packing,
    Raster,
    likely_rasters,
    raster_of_size,
    square_raster,
)
from taesd_stream.latents.source import StoredSource

if TYPE_CHECKING:
    from taesd_stream.latents.read_options import ReadOptions
    from taesd_stream.latents.source import Store

__all__ = ["PackedReading"]

_LAYOUT: Final = "N C T H W"
_MOST_SIZES: Final = 4

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
            # ComfyUI's latents of FLUX.2 have this form, and are normalised: its VAE undoes that.
            known = replace(known, convention="model")
        size = options.size or known.size
        raster = self._raster(store, size, name)
        packs = math.prod(store.shape[: -3 if self.are_planes else -2])
        opener = PatchPlanes if self.are_planes else Tokens
        unpacked = opener(store, self.packing, raster, packs)
        remark = self._remark(store, unpacked.shape, raster)
        if options.alike is None:
            if size is not None and not self.are_planes:
                _warn_of_another_size(store, self.packing, raster, name)
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

    def _raster(self, store: Store, size: tuple[int, int] | None, name: str) -> Raster:
        """The place of the tokens."""
        if self.are_planes:
            token = self.packing.scales[0] * self.packing.side
            rows, columns = store.shape[-2:]
            return Raster(1, rows, columns, token)
        tokens = store.shape[-2]
        square = square_raster(self.packing, tokens)
        others = [raster for raster in likely_rasters(self.packing, tokens) if raster != square]
        if size is not None:
            raster = raster_of_size(self.packing, tokens, size)
            if raster is not None:
                return raster
        elif square is not None and not Rows(store).speak_against(square, others):
            return square
        rasters = others if square is None else [square, *others]
        likely = Rows(store).likeliest(rasters)[:_MOST_SIZES]
        found = "" if size is None else f" and the size {size[1]}x{size[0]}"
        raise LayoutError(
            f"{name}: expected packed latents whose size is known, found {tokens} tokens of"
            f" {self.packing}{found}: give --size WIDTHxHEIGHT (size=(height, width) in Python),"
            f" such as {' or '.join(map(str, likely)) or 'that of the picture'}",
            readings=(),
        )

    def _remark(self, store: Store, shape: tuple[int, ...], raster: Raster) -> str:
        clips, _, times, *_ = shape
        what = f"{clips} picture{'s' * (clips > 1)}"
        if times > 1:
            what = f"{clips} video{'s' * (clips > 1)} of {times} latents"
        told = ", told by content" if self.was_told else ""
        return (
            f"taken as packed{told}: {tuple(store.shape)} is {what} of {raster.pixels} pixels in"
            f" {self.packing}"
        )


def _warn_of_another_size(store: Store, packing: Packing, raster: Raster, name: str) -> None:
    """Say so where the tokens of one picture plainly have another size than is given."""
    others = [each for each in likely_rasters(packing, store.shape[-2]) if each != raster]
    if raster.times > 1:
        return
    rows = Rows(store)
    if rows.speak_against(raster, others):
        _log.warning(
            "%s: in pictures of %s pixels neighbours look far more alike than in ones of %s: if the"
            " picture is scrambled, give that --size (size= in Python)",
            name,
            rows.likeliest(others)[0],
            raster,
        )
