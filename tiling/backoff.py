"""Shrink and re-plan when memory runs out, and go on with what is left."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from tiling.grid import Block

__all__ = ["Backoff"]

T = TypeVar("T")


class Backoff:
    """Runs blocks; cuts those that memory does not hold, and remembers how large was too large.

    Several threads may run blocks of their own: what is too large for one is so for all.

    Args:
        cell: Blocks are cut at multiples of this many output elements.
        is_out_of_memory: Tells errors that a smaller block may avoid from all others.
        keeps_frames: Whether blocks are not cut between frames.
        on_shrink: Told the block that failed and how many are now left, after the error and all
            that its frames held have been let go.

    Attributes:
        too_large: Output elements of the smallest block that has failed; None so far.

    >>> from tiling.interval import Interval, Region, Size
    >>> def work(block):
    ...     if block.volume > 16:
    ...         raise MemoryError
    ...     return block.volume
    >>> whole = Block(Interval(0, 1), Region.whole(Size(8, 8)))
    >>> backoff = Backoff(cell=1, is_out_of_memory=lambda error: isinstance(error, MemoryError))
    >>> [volume for _, volume in backoff.run([whole], work)]
    [16, 16, 16, 16]
    >>> backoff.too_large
    32
    """

    def __init__(
        self,
        *,
        cell: int,
        is_out_of_memory: Callable[[BaseException], bool],
        keeps_frames: bool = False,
        on_shrink: Callable[[Block, int], None] = lambda block, left: None,
    ) -> None:
        self.too_large: int | None = None
        self._cell, self._keeps_frames = cell, keeps_frames
        self._is_out_of_memory = is_out_of_memory
        self._on_shrink = on_shrink

    def run(self, blocks: Iterable[Block], work: Callable[[Block], T]) -> Iterator[tuple[Block, T]]:
        """Yield ``(block, work(block))`` for blocks that together make up ``blocks``, in order.

        When ``work`` runs out of memory, the block is cut in two, and so is every later one of its
        size or larger; blocks already done stay done. Any other error, and the error of a block
        that cannot be cut further, is raised as it came. Blocks are taken one by one.
        """
        coming = iter(blocks)
        queue: deque[Block] = deque()
        while True:
            queue = deque(self._cut_down(queue or islice(coming, 1)))
            if not queue:
                return
            block = queue[0]
            try:
                result = work(block)
            except Exception as error:
                if not self._is_out_of_memory(error) or not self._halves(block):
                    raise
            else:
                queue.popleft()
                yield block, result
                del result
                continue
            self.too_large = min(block.volume, self.too_large or block.volume)
            queue = deque(self._cut_down(queue))
            self._on_shrink(block, len(queue))

    def _cut_down(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The same blocks with each that is too large halved until it is not, or cannot be."""
        for block in blocks:
            fits = self.too_large is None or block.volume < self.too_large
            parts = () if fits else self._halves(block)
            if parts:
                yield from self._cut_down(parts)
            else:
                yield block

    def _halves(self, block: Block) -> tuple[Block, ...]:
        return block.halve(self._cell, keeps_frames=self._keeps_frames)
