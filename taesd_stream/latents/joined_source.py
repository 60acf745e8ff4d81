"""Sources that follow one another in time, as one."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from taesd_stream.errors import LatentsError
from taesd_stream.latents.source import Store, StoredSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    import torch

    from taesd_stream.latents.read_options import ReadOptions

    Opener: TypeAlias = Callable[[ReadOptions], StoredSource]

__all__ = ["join"]


def join(openers: Sequence[Opener], options: ReadOptions, *, name: str, kind: str) -> StoredSource:
    """One source of several that follow one another in time; all must be of one size and dtype.

    Every opener is called once here, to learn what it opens, and again when it is read from; one
    part is open at a time. As the first part is laid out, so are the others whose axes allow it.
    """
    if not openers:
        raise LatentsError(f"{name}: expected latents, found none: check what wrote it")
    store = _JoinedStore(openers, options, name)
    remark = f"each part {store.part_remark}" if store.part_remark else ""
    return StoredSource(
        store, "T C H W", name=name, kind=kind, remark=remark, part_layout=store.part_layout
    )


class _JoinedStore(Store):
    """Sources one after another, as one (T, C, h, w) array."""

    def __init__(self, openers: Sequence[Opener], options: ReadOptions, name: str) -> None:
        self._openers = tuple(openers)
        self._name = name
        self._current: tuple[int, StoredSource] | None = None
        first = openers[0](options)
        self.part_layout, self.part_remark = first.part_layout, first.remark
        self._options = replace(options, alike=first.part_layout)
        self.shape: tuple[int, ...] = (0, first.channels, first.height, first.width)
        self.dtype: torch.dtype = first.dtype
        first.close()
        lengths = [len(self._source(number)) for number in range(len(openers))]
        self.close()
        self._starts = list(accumulate(lengths, initial=0))
        self.shape = (self._starts[-1], *self.shape[1:])

    def copy_to(self, out: torch.Tensor, index: tuple[slice, ...]) -> None:
        first, stop = index[0].start, index[0].stop
        while first < stop:
            number = bisect_right(self._starts, first) - 1
            start, end = self._starts[number : number + 2]
            source = self._source(number)
            if len(source) != end - start:
                raise LatentsError(
                    f"{self._name}: part {number} holds {len(source)} latents, and held "
                    f"{end - start} before: leave the files alone while they are read"
                )
            last = min(stop, end)
            source.copy_latents(out[: last - first], first - start, (index[2], index[3]))
            out = out[last - first :]
            first = last

    def close(self) -> None:
        if self._current is not None:
            self._current[1].close()
            self._current = None

    def _source(self, number: int) -> StoredSource:
        if self._current is not None and self._current[0] == number:
            return self._current[1]
        self.close()
        source = self._openers[number](self._options)
        _, channels, height, width = self.shape
        place, remedy = f"{self._name}, part {number}", "give all parts one size and dtype"
        source.require_size((channels, height, width), self.dtype, place, remedy)
        self._current = (number, source)
        return source
