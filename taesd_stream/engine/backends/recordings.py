"""Recordings of kinds of tiles, in buffers of their own, within so many bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias

import torch
from torch import Tensor, nn

from taesd_stream.engine.backends.recorder import Recorder
from taesd_stream.engine.budget import is_out_of_memory
from taesd_stream.models.layers.tile_state import LayerStates, TileState

__all__ = ["Recordings", "RunTile"]

_log = logging.getLogger("taesd_stream")

# A kind that came so often comes again, most likely. Recording takes as long as some runs, and so
# does the search for the quickest kernels.
_OFTEN = 2
# One that did not come for so many tiles may not come again.
_LONG = 256
_MOST_COUNTED = 4096

RunTile: TypeAlias = Callable[[Tensor, TileState], Tensor]
"""Runs the operators of a kind of tile."""


class Recordings:
    """Recordings of kinds of tiles, for one network.

    Args:
        recorder: Makes them.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._kept: dict[Hashable, _Recording] = {}
        self._came: dict[Hashable, int] = {}
        self._tiles = 0
        self._is_off = False
        self._turn = Lock()

    def comes_often(self, kind: Hashable) -> bool:
        """Count a tile of a kind; whether so many came that more can be expected."""
        with self._turn:
            self._tiles += 1
            if len(self._came) >= _MOST_COUNTED:
                self._came.clear()
            came = self._came[kind] = self._came.get(kind, 0) + 1
        return came > _OFTEN

    def replayed(
        self, kind: Hashable, tile: Tensor, state: TileState, run: RunTile, room_bytes: int
    ) -> Tensor | None:
        """What the recording of a kind, made if need be, makes of a tile.

        Args:
            kind: Whatever decides which operators run, and on which shapes.
            tile: (n, C, h, w).
            state: Of the tile; where this returns None, it is what it was.
            run: Runs the operators.
            room_bytes: What all recordings may hold together.

        Returns:
            A fresh tensor; None where there is no recording.
        """
        # What lives longer than a call must not be an inference tensor: nobody could write to it
        # outside that mode, not even PyTorch to the random state that it keeps for graphs.
        with self._turn, torch.inference_mode(False), torch.no_grad(), self.recorder.in_turn():
            recording = self._kept.get(kind)
            if recording is None:
                recording = self._record(kind, tile, state, run, room_bytes)
            if recording is None:
                return None
            recording.last_used = self._tiles
            return recording(tile, state)

    def let_go(self) -> bool:
        """Hand all memory back; whether there was any."""
        with self._turn:
            return self._let_go()

    def _let_go(self) -> bool:
        held = bool(self._kept) or self.recorder.held_bytes > 0
        self.recorder.let_go(self._kept.clear)
        return held

    @property
    def _held_bytes(self) -> int:
        return self.recorder.held_bytes + sum(each.own_bytes for each in self._kept.values())

    def _record(
        self, kind: Hashable, tile: Tensor, state: TileState, run: RunTile, room_bytes: int
    ) -> _Recording | None:
        own_bytes = _bytes_of([tile, *state.kept.values()])
        if self._is_off or not self._make_room(own_bytes, room_bytes):
            return None
        try:
            recording = _Recording.of(self.recorder, tile, state, run)
        except Exception as error:
            # What ends a recording may fail because of what failed in it.
            if not is_out_of_memory(error) and not is_out_of_memory(error.__context__ or error):
                self._is_off = True
                words = (str(error) or type(error).__name__).splitlines()[0]
                _log.warning("no %s here (%s); going on without them", self.recorder.name, words)
            recording = None
        if recording is not None:
            self._kept[kind] = recording
            if self._held_bytes <= room_bytes:
                return recording
            del self._kept[kind]
        # Memory ran out, or there was more to hold than planned: not again for a good while.
        self._came[kind] = -_LONG
        is_out = recording is None
        del recording  # else its memory would be held
        if is_out or self._held_bytes > room_bytes:
            self._let_go()
        return None

    def _make_room(self, own_bytes: int, room_bytes: int) -> bool:
        """Let go what did not come for long, if there is no room; whether there is some then."""
        if self._held_bytes + own_bytes <= room_bytes:
            return True
        old = [kind for kind, each in self._kept.items() if each.last_used < self._tiles - _LONG]
        if len(old) == len(self._kept):
            self._let_go()
        for kind in old:
            self._kept.pop(kind, None)
        return self._held_bytes + own_bytes <= room_bytes


@dataclass(slots=True)
class _Recording:
    """A recording of one kind of tile.

    Attributes:
        tile: What it reads.
        before: What layers kept, which it reads.
        made: What it makes.
        after: What layers keep then.
        replay: Has it done again.
        last_used: The number of the tile that it was replayed for last.
    """

    tile: Tensor
    before: LayerStates
    made: Tensor
    after: LayerStates
    replay: Callable[[], None]
    last_used: int = 0

    @classmethod
    def of(cls, recorder: Recorder, tile: Tensor, state: TileState, run: RunTile) -> _Recording:
        """Record what is run for this tile, and for all of its kind."""
        given = torch.zeros_like(tile, memory_format=torch.channels_last)
        before = {layer: torch.zeros_like(kept) for layer, kept in state.kept.items()}

        def made() -> tuple[Tensor, LayerStates]:
            passing = TileState(before, together=state.together)
            return run(given, passing), passing.kept

        with recorder.tuned():
            (out, after), replay = recorder.record(made)
        return cls(given, before, out, after, replay)

    @property
    def own_bytes(self) -> int:
        """The size of the buffers that it reads."""
        return _bytes_of([self.tile, *self.before.values()])

    def __call__(self, tile: Tensor, state: TileState) -> Tensor:
        """Replay it for a tile."""
        self.tile.copy_(tile)
        _copy_all([(self.before[layer], kept) for layer, kept in state.kept.items()])
        self.replay()
        made = self.made.clone(memory_format=torch.channels_last)
        fresh: dict[nn.Module, Tensor] = {
            layer: torch.empty_like(kept)
            for layer, kept in self.after.items()
            if kept is not self.before.get(layer)  # else it has not changed
        }
        _copy_all([(kept, self.after[layer]) for layer, kept in fresh.items()])
        state.kept = {
            layer: fresh[layer] if layer in fresh else state.kept[layer] for layer in self.after
        }
        return made


def _bytes_of(tensors: Iterable[Tensor]) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)


def _copy_all(pairs: list[tuple[Tensor, Tensor]]) -> None:
    """Copy into the first of each pair from the second, in few kernels."""
    if pairs:
        torch._foreach_copy_([to for to, _ in pairs], [source for _, source in pairs])
