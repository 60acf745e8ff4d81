"""Sources that follow one another in time, as one."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from taesd_stream.errors import LatentsError
from taesd_stream.latents.layouts import PICTURES
from taesd_stream.latents.packing import PACKED
from taesd_stream.latents.parts import PartedStore, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    import torch

    from taesd_stream.latents.read_options import ReadOptions
    from taesd_stream.latents.source import StoredSource

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
    return store.source(store.layout, name=name, kind=kind, part="part")


class _JoinedStore(PartedStore[int]):
    """Sources one after another, as one (T, C, h, w) array; of pictures, (N, C, h, w)."""

    def __init__(self, openers: Sequence[Opener], options: ReadOptions, name: str) -> None:
        first = openers[0](options)
        super().__init__(first, most_open=1)
        are_pictures = first.part_layout in (PACKED, PICTURES) and first.clips == first.frames
        self.layout = PICTURES if are_pictures else "T C H W"
        self._openers = tuple(openers)
        self._name = name
        self._options = replace(options, alike=first.part_layout)
        self._size = first.channels, first.height, first.width
        lengths = [len(self._part(number)) for number in range(len(openers))]
        self.close()
        self._starts = list(accumulate(lengths, initial=0))
        self.shape = (self._starts[-1], *self._size)

    def copy_to(self, out: torch.Tensor, index: tuple[slice, ...]) -> None:
        for number, within, place in cut(index[0], self._starts):
            source = self._part(number)
            before = self._starts[number + 1] - self._starts[number]
            if len(source) != before:
                raise LatentsError(
                    f"{self._name}: part {number} holds {len(source)} latents, and held "
                    f"{before} before: leave the files alone while they are read"
                )
            source.copy_latents(out[place], within.start, (index[2], index[3]))

    def _opened(self, place: int) -> StoredSource:
        source = self._openers[place](self._options)
        remedy = "give all parts one size and dtype"
        self._require_fit(source, self._size, f"{self._name}, part {place}", remedy)
        return source
