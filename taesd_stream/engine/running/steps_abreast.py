"""Time steps of one tile that are under way at once, each on one core.

What a layer remembers is known as soon as the layer has seen the steps. So the next ones need not
wait until these are done: they follow, layer by layer. Nothing is computed twice, every kernel is
run as a whole, and no two threads meet at each layer's end, as they do where they share a tile. Who
has to wait helps whom they wait for; so does who finds no steps left.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from queue import SimpleQueue
from typing import TypeVar

from torch import Tensor, nn

from taesd_stream.engine.plain_modes import Computing
from taesd_stream.engine.running.row_crew import Calls, RowCrew
from taesd_stream.engine.running.side_by_side import Stretch, in_order
from taesd_stream.engine.running.tile_making import TileMaking
from taesd_stream.models.layers.tile_state import LayerStates
from tiling import Block, TilePlan
from video.background import AbandonedError, Room

__all__ = ["Baton", "abreast"]

T = TypeVar("T")


class Baton:
    """Hands on what the layers of a tile remember, from the steps before to those after.

    Args:
        before: Brings what they remember of the steps before, or is it.
        crew: Helped by the thread that has to wait.
        wanted: Closed when nobody wants any more steps.

    >>> import torch
    >>> from taesd_stream.engine.settings import Settings
    >>> layer, other = nn.ReLU(), nn.ReLU()
    >>> crew = RowCrew(1, Settings(torch.device("cpu"), torch.float32, "torch"))
    >>> wanted = Room(None)
    >>> first = Baton({other: torch.zeros(1)}, crew, wanted)
    >>> second = Baton(first, crew, wanted)
    >>> first.leave(layer, torch.ones(1))
    >>> second.take(layer)
    tensor([1.])
    >>> first.end([layer, other])
    >>> second.take(other)
    tensor([0.])
    """

    def __init__(self, before: Baton | LayerStates, crew: RowCrew, wanted: Room) -> None:
        self._before, self._crew, self._wanted = before, crew, wanted
        self._left: dict[nn.Module, Tensor | None] = {}
        self._changing = threading.Lock()
        self._waiting: tuple[nn.Module, Calls] | None = None
        self._has_ended = self._has_failed = False

    @property
    def kept(self) -> LayerStates:
        """The state of every layer after these steps; to be asked for when they have ended."""
        return {layer: steps for layer, steps in self._left.items() if steps is not None}

    def take(self, layer: nn.Module, /) -> Tensor | None:
        """What a layer kept of the steps before, once these are past it; None for nothing.

        Raises:
            AbandonedError: The steps before have failed, or nobody wants these.
        """
        if self._wanted.is_closed:
            raise AbandonedError
        before = self._before
        return before._given(layer) if isinstance(before, Baton) else before.get(layer)

    def leave(self, layer: nn.Module, steps: Tensor | None, /) -> None:
        """Leave what a layer keeps of these steps."""
        with self._changing:
            self._left[layer] = steps
            self._wake(layer)

    def end(self, layers: Iterable[nn.Module]) -> None:
        """Say that these steps are done: of what they did not reach is left what was before.

        Args:
            layers: All that keep anything.
        """
        for layer in layers:
            if layer not in self._left:
                self.leave(layer, self.take(layer))
        with self._changing:
            self._before, self._has_ended = {}, True
            self._wake()  # who waits for a layer that keeps nothing

    def fail(self) -> None:
        """Say that these steps will not be done."""
        with self._changing:
            self._has_failed = True
            self._wake()

    def _given(self, layer: nn.Module) -> Tensor | None:
        """What a layer keeps of these steps, as soon as it is left."""
        calls: Calls = SimpleQueue()
        with self._changing:
            must_wait = layer not in self._left and not (self._has_ended or self._has_failed)
            if must_wait:
                self._waiting = layer, calls
        if must_wait:
            self._crew.help(calls)
        if layer not in self._left and self._has_failed:
            raise AbandonedError
        return self._left.get(layer)

    def _wake(self, layer: nn.Module | None = None) -> None:
        """Let the thread go on that waits for a layer, or for any."""
        if self._waiting is not None and layer in (None, self._waiting[0]):
            self._waiting[1].put(None)
            self._waiting = None


def abreast(
    make: TileMaking[T], blocks: Sequence[Block], layers: Sequence[nn.Module], plan: TilePlan
) -> Iterator[tuple[Block, T]]:
    """Blocks of one tile in order, as many of them under way at once as a plan says.

    What one of them raises is raised here after all that comes before it; the tile's state is then
    that after the last one that came.

    Args:
        make: Makes them, and has their states.
        blocks: The tile's next time steps.
        layers: All that keep anything.
        plan: Says how many are under way, and how many cores compute.
    """
    states = make.stage.states
    if states is None:
        raise ValueError("expected a pass that remembers, found one that does not")
    threads = min(plan.threads, len(blocks))
    at, region = states.at, blocks[0].region
    wanted = Room(None)
    with Computing(make.settings):
        before = states.recall(region, at + blocks[0].frames.start)

    def work(items: Iterator[tuple[Block, Baton]]) -> Iterator[tuple[Block, T, Baton]]:
        for block, baton in items:
            try:
                made = make.of_steps(block, baton, crew)
                baton.end(layers)
            except BaseException:
                baton.fail()
                raise
            yield block, made, baton
            del made

    def stretches() -> Iterator[Stretch[tuple[Block, T, Baton]]]:
        baton: Baton | LayerStates = before
        for block in blocks:
            baton = Baton(baton, crew, wanted)
            yield Stretch([(block, baton)], work)

    with RowCrew(1 + (plan.cores or threads) - threads, make.settings) as crew:
        then = _Ending(threads, crew).help
        with closing(in_order(stretches(), threads, then=then, until=wanted)) as pieces:
            for block, made, baton in pieces:
                states.keep(region, at + block.frames.stop, baton.kept)
                yield block, made
                del made


class _Ending:
    """The end of threads that have work of their own: the first ones help the last.

    Args:
        threads: How many there are.
        crew: By whom they are called.
    """

    def __init__(self, threads: int, crew: RowCrew) -> None:
        self._at_work, self._crew = threads, crew
        self._helping: list[Calls] = []
        self._changing = threading.Lock()

    def help(self) -> None:
        """Help, in a thread that has no work left, until no thread has any."""
        calls: Calls = SimpleQueue()
        with self._changing:
            self._at_work -= 1
            if self._at_work:
                self._helping.append(calls)
            else:
                for each in (*self._helping, calls):
                    each.put(None)
        self._crew.help(calls)
