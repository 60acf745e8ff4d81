"""The states of all tiles of a video, whatever tiles they are asked for.

A layer's state is a part of a plane: of what the layer read at the last time step. So the state of
a tile can be cut out of that of a larger one, or put together from smaller ones, and the tiles of a
video may change from step to step: when memory runs out, or when a saved video goes on on another
machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock, get_ident

import torch
from torch import Tensor, nn

from taesd_stream.engine.running.state_storage import StateStorage
from taesd_stream.models.layers.passes import Pass
from taesd_stream.models.layers.state_region import StateRegion
from taesd_stream.models.layers.tile_state import LayerStates
from tiling import Region, Size

__all__ = ["TileStates"]


@dataclass(slots=True)
class _Entry:
    """The state of one tile.

    Attributes:
        at: Time steps that the tile has seen.
        left: The parts of the tile that no later state covers.
        kept: Brings the state to the device.
    """

    at: int
    left: tuple[Region, ...]
    kept: Callable[[], LayerStates]


class TileStates:
    """The states of all tiles of one video, which several threads may compute.

    Args:
        each: The pass that the tiles are of.
        plane: Its input plane.
        storage: Where states lie while other tiles have their turn.
        device: Where tiles are computed; None is where their states lie.
        ends_at: After so many time steps nothing needs to be remembered; None if that is unknown.

    Attributes:
        at: Time steps that all tiles have seen.
    """

    def __init__(
        self,
        each: Pass,
        plane: Size,
        storage: StateStorage,
        device: torch.device | None = None,
        *,
        ends_at: int | None = None,
    ) -> None:
        self.at = 0
        self._each, self._plane, self._storage, self._ends_at = each, plane, storage, ends_at
        self._device = device
        self._entries: dict[Region, _Entry] = {}
        self._in_use: dict[int, tuple[Region, LayerStates]] = {}  # by thread
        self._turn = RLock()

    def recall(self, tile: Region, at: int) -> LayerStates:
        """The state of a tile of the output after ``at`` time steps."""
        with self._turn:
            self._make_room(unless=tile)
            entry = self._entries.get(tile)
            if entry is not None and entry.at == at:
                return entry.kept()
            return self._put_together(tile, at)

    def keep(self, tile: Region, at: int, kept: LayerStates) -> None:
        """Take what a tile remembers after ``at`` time steps, and forget what that replaces."""
        with self._turn:
            if tile not in self._entries:
                self._supersede(tile, at)
            if at == self._ends_at:
                self._entries.pop(tile, None)
                self._in_use.pop(get_ident(), None)
                return
            self._entries[tile] = _Entry(at, (tile,), lambda: kept)
            self._in_use[get_ident()] = (tile, kept)

    def let_go(self) -> None:
        """Let the tile that this thread has used make room: others have their turn."""
        with self._turn:
            self._make_room(unless=None)

    def whole(self) -> dict[nn.Module, Tensor]:
        """The state of the whole plane, in the host's memory."""
        whole = Region.whole(self._each.out_plane(self._plane))
        together = self._put_together(whole, self.at)
        return {layer: kept.to("cpu", copy=True) for layer, kept in together.items()}

    def begin_with(self, kept: LayerStates, at: int) -> None:
        """Start from what ``whole`` returned after ``at`` time steps."""
        whole = Region.whole(self._each.out_plane(self._plane))
        # They stay where they are: a tile copies its own part of them to the device.
        self._entries = {whole: _Entry(at, (whole,), lambda: kept)}
        self.at = at
        self._in_use.clear()

    def _make_room(self, unless: Region | None) -> None:
        """Let the tile that this thread has used make room, unless it is the same again."""
        if get_ident() not in self._in_use or self._in_use[get_ident()][0] == unless:
            return
        tile, kept = self._in_use.pop(get_ident())
        self._entries[tile].kept = self._storage.put(kept)

    def _supersede(self, tile: Region, at: int) -> None:
        for other, entry in list(self._entries.items()):
            if entry.at < at:
                entry.left = tuple(part for left in entry.left for part in left.without(tile))
                if not entry.left:
                    del self._entries[other]

    def _put_together(self, tile: Region, at: int) -> dict[nn.Module, Tensor]:
        """A tile's state out of those of the tiles that lie there."""
        wanted = list(self._each.state_regions(tile, self._plane))
        made: dict[nn.Module, Tensor] = {}
        missing = tile.area if at else 0
        for other, entry in self._entries.items():
            if entry.at != at or not other.overlap(tile).area:
                continue
            missing -= other.overlap(tile).area
            kept = entry.kept()
            for want, have in zip(
                wanted, self._each.state_regions(other, self._plane), strict=True
            ):
                if want.layer in kept:
                    _copy_part(kept[want.layer], have, want, made, self._device)
        if missing > 0:
            raise RuntimeError(f"{missing} elements of {tile} remember nothing of step {at}")
        return made


def _copy_part(
    part: Tensor,
    have: StateRegion,
    want: StateRegion,
    made: dict[nn.Module, Tensor],
    device: torch.device | None,
) -> None:
    """Copy what a layer kept for one tile to where it belongs for another."""
    if want.layer not in made:
        made[want.layer] = torch.empty(
            (part.shape[0], *want.shape),
            dtype=part.dtype,
            device=device or part.device,
            memory_format=torch.channels_last,
        )
    both = want.region.overlap(have.region)
    to_y, to_x = both.within(want.region)
    from_y, from_x = both.within(have.region)
    made[want.layer][:, :, to_y, to_x] = part[:, :, from_y, from_x]
