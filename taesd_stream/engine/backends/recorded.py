"""PyTorch's own kernels, recorded for each kind of tile that comes often, and replayed.

A small tile keeps a GPU busy for less time than it takes Python to launch its kernels. A recording
is launched at once.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import nullcontext

from torch import Tensor

from taesd_stream.engine.backends.backend import Kernel
from taesd_stream.engine.backends.eager import EagerBackend
from taesd_stream.engine.backends.recorder import Recorder
from taesd_stream.engine.backends.recordings import Recordings
from taesd_stream.engine.budget import is_out_of_memory
from taesd_stream.models.layers.passes import Pass
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.tile_state import TileState

__all__ = ["RecordedBackend"]

# Plans of other sizes have other room for recordings.
_MOST_KEPT = 64


class RecordedBackend:
    """Runs operators one by one until a kind of tile has come a few times, then replays them.

    Args:
        recorder: Records them: CUDA graphs, or whatever else does.
    """

    rounding = "none"
    records = True

    def __init__(self, recorder: Recorder) -> None:
        self._eager = EagerBackend()
        self._recordings = Recordings(recorder)
        self._kernels: dict[tuple[Pass, int], Kernel] = {}

    def __reduce__(self) -> tuple[type[RecordedBackend], tuple[Recorder]]:
        return RecordedBackend, (self._recordings.recorder,)  # none of it is of a copy's layers

    def kernel(self, each: Pass, room_bytes: int = 0) -> Kernel:
        """The kernel of a pass, for tiles of any kind."""
        if (each, room_bytes) not in self._kernels:
            if len(self._kernels) >= _MOST_KEPT:
                self._kernels.clear()
            eager = self._eager.kernel(each)
            self._kernels[each, room_bytes] = _Kernel(each, eager, self._recordings, room_bytes)
        return self._kernels[each, room_bytes]


class _Kernel:
    """The programmes of a pass, replayed where they are recorded."""

    def __init__(self, each: Pass, eager: Kernel, recordings: Recordings, room_bytes: int) -> None:
        self._body, self._scale, self._eager = each.body, each.scale, eager
        self._recordings, self._room_bytes = recordings, room_bytes

    def __call__(self, tile: Tensor, rows: Span, columns: Span, state: TileState, /) -> Tensor:
        # What a sweep carries on lies elsewhere every time.
        if state.carry is not None or not self._recordings.recorder.is_free:
            return self._eager(tile, rows, columns, state)
        passing = TileState(state.kept, together=state.together)
        try:
            made = self._made(tile, rows, columns, passing)
        except Exception as error:
            if not is_out_of_memory(error) or not self._recordings.let_go():
                raise
            made = None
        if made is None:  # without what recordings held, there may be enough
            passing = TileState(state.kept, together=state.together)
            made = self._eager(tile, rows, columns, passing)
        state.kept = passing.kept
        return made

    def _made(self, tile: Tensor, rows: Span, columns: Span, state: TileState) -> Tensor:
        kind = self._kind(tile, rows, columns, state)
        comes_often = self._recordings.comes_often(kind)
        if comes_often and self._room_bytes:
            made = self._recordings.replayed(
                kind,
                tile,
                state,
                lambda given, passing: self._eager(given, rows, columns, passing),
                self._room_bytes,
            )
            if made is not None:
                return made
        with self._recordings.recorder.tuned() if comes_often else nullcontext():
            return self._eager(tile, rows, columns, state)

    def _kind(self, tile: Tensor, rows: Span, columns: Span, state: TileState) -> Hashable:
        """All that decides which operators run, and on which shapes."""
        spans = rows.kind(self._scale), columns.kind(self._scale)
        kept = frozenset((layer, each.shape) for layer, each in state.kept.items())
        return self._body, spans, tile.shape, state.together, kept
