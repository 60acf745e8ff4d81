"""PyTorch's own kernels: what a kind of tile takes is worked out once, and kept as a programme."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from taesd_stream.engine.backends.backend import Kernel
from taesd_stream.models.layers.passes import Pass
from taesd_stream.models.layers.programme import Programme
from taesd_stream.models.layers.span import Kind, Span
from taesd_stream.models.layers.tile_state import TileState

__all__ = ["EagerBackend"]

# A grid has up to nine kinds of tiles, twice as many where they go on from each other, and some
# more where memory ran out.
_MOST_KEPT = 256

_Key: TypeAlias = tuple[Kind, Kind, bool]
Finish: TypeAlias = Callable[[Programme], Programme]


def _as_it_is(programme: Programme) -> Programme:
    return programme


class EagerBackend:
    """Runs operators one by one; nothing is compiled.

    Args:
        finish: Makes of each programme the one that is run.
    """

    rounding = "none"
    records = False

    def __init__(self, finish: Finish = _as_it_is) -> None:
        self._finish = finish
        self._kernels: dict[Pass, Kernel] = {}

    def __getstate__(self) -> dict[str, object]:
        # Programmes are of this model's layers, and none of a copy's.
        return self.__dict__ | {"_kernels": {}}

    def kernel(self, each: Pass, room_bytes: int = 0) -> Kernel:
        """The kernel of a pass, for tiles of any kind."""
        if each not in self._kernels:
            self._kernels[each] = _Kernel(each, self._finish)
        return self._kernels[each]


class _Kernel:
    """The programmes of a pass, each made when the first tile of its kind comes."""

    def __init__(self, each: Pass, finish: Finish) -> None:
        self._body, self._finish = each.body, finish
        self._scale = each.scale
        self._programmes: dict[_Key, Programme] = {}

    def __call__(self, tile: Tensor, rows: Span, columns: Span, state: TileState, /) -> Tensor:
        sweeps = state.carry is not None
        key = rows.kind(self._scale), columns.kind(self._scale), sweeps
        programme = self._programmes.get(key)
        if programme is None:
            if len(self._programmes) >= _MOST_KEPT:
                self._programmes.clear()
            programme = self._finish(Programme(self._body.operators(rows, columns, sweeps=sweeps)))
            self._programmes[key] = programme
        return programme(tile, state)
