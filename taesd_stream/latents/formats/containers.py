"""From an array, a list or a mapping of arrays to a source of latents."""

from __future__ import annotations

import logging
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import LatentsError, LayoutError
from taesd_stream.latents.axes_by_content import layout_by_content
from taesd_stream.latents.checks import layout_of, require_floating
from taesd_stream.latents.layouts import KNOWN_CHANNELS, possible_layouts
from taesd_stream.latents.source import Store, StoredSource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    import torch

    Opener: TypeAlias = Callable[["Reading"], StoredSource]

__all__ = ["ArrayInfo", "Reading", "choose_key", "join", "stored"]

_log = logging.getLogger("taesd_stream")

_USUAL_KEYS: Final = ("latents", "samples", "latent_tensor")


@dataclass(frozen=True)
class Reading:
    """How a source is to be read.

    ``layout``, ``channels`` and ``key`` are what ``open_latents`` was given. ``alike`` is the
    layout of the first part of the same list or folder: it is taken where the axes fit several.
    """

    layout: str | None = None
    channels: frozenset[int] | None = None
    key: str | None = None
    alike: str | None = None

    def without_key(self, name: str) -> Reading:
        """For what holds one array and no names; raises LatentsError if a key was asked for."""
        if self.key is not None:
            raise LatentsError(
                f"{name}: expected named arrays because of key={self.key!r}, found a single one: "
                "leave the key out"
            )
        return self

    def for_entry(self) -> Reading:
        """For what lies under a key that has been found."""
        return replace(self, key=None)

    def for_item(self, axes: int) -> Reading:
        """For one of a list's arrays of ``axes`` axes: a layout may be meant for the whole list."""
        if self.layout is not None and len("".join(self.layout.split())) != axes:
            return Reading(None, self.channels, alike=self.alike)
        return Reading(self.layout, self.channels, alike=self.alike)


@dataclass(frozen=True)
class ArrayInfo:
    """What is known of a named array before it is read; ``shape`` is None if it is no array."""

    shape: tuple[int, ...] | None
    description: str
    is_floating: bool

    @property
    def may_be_latents(self) -> bool:
        return self.is_floating and self.shape is not None and 3 <= len(self.shape) <= 5


def stored(store: Store, reading: Reading, *, name: str, kind: str) -> StoredSource:
    """The source for an array, once its dtype and its layout are known to be right.

    Where the axes fit several layouts, the array's numbers are asked.

    Raises:
        LatentsError: the array cannot be latents.
        LayoutError: the axes fit several layouts and the numbers do not tell either.
    """
    require_floating(store.dtype, name)
    try:
        layout = layout_of(store.shape, layout=reading.layout, channels=reading.channels, name=name)
    except LayoutError as error:
        source = _told(store, reading, error.readings, name=name, kind=kind)
        if source is None:
            store.close()
            raise
        return source
    channels = KNOWN_CHANNELS if reading.channels is None else reading.channels
    others = set(possible_layouts(store.shape, channels)) - {layout}
    remark = ""
    if reading.layout is None and others:
        remark = f"taken as {layout}, though {', '.join(sorted(others))} would fit: see --layout"
    return StoredSource(store, layout, name=name, kind=kind, remark=remark)


def _told(
    store: Store, reading: Reading, readings: Sequence[str], *, name: str, kind: str
) -> StoredSource | None:
    """The source for an array whose axes fit ``readings``; None where nothing tells which."""
    if reading.alike is not None and reading.alike in readings:
        return StoredSource(store, reading.alike, name=name, kind=kind)
    told = layout_by_content(store, readings)
    if told is None:
        return None
    taken = f"taken as {told.layout}, told by content: {told.because}"
    _log.info("%s: %s; --layout (layout= in Python) overrides this", name, taken)
    others = ", ".join(layout for layout in readings if layout != told.layout)
    remark = f"{taken}; {others} would fit too: see --layout"
    return StoredSource(store, told.layout, name=name, kind=kind, remark=remark)


def choose_key(entries: Mapping[str, ArrayInfo], key: str | None, name: str) -> str:
    """Which of several named arrays holds the latents.

    That is ``key`` where it is given, else ``latents``, ``samples`` or ``latent_tensor``, else the
    only floating-point array of 3 to 5 axes.

    >>> choose_key({"z": ArrayInfo((1, 4, 8, 8), "float32 (1, 4, 8, 8)", True)}, None, "a.npz")
    'z'
    """
    if key is not None:
        if key in entries:
            return key
        raise LatentsError(f"{name}: expected the key {key!r}, found {_listing(entries)}")
    for usual in _USUAL_KEYS:
        if usual in entries:
            return usual
    fitting = [name for name, info in entries.items() if info.may_be_latents]
    if len(fitting) == 1:
        return fitting[0]
    raise LatentsError(
        f"{name}: expected a key {', '.join(_USUAL_KEYS)} or a single floating-point array of 3 to "
        f"5 axes, found {_listing(entries)}: say which with --key (key= in Python)"
    )


def join(openers: Sequence[Opener], reading: Reading, *, name: str, kind: str) -> StoredSource:
    """One source of several that follow one another in time; all must be of one size and dtype.

    Every opener is called once here, to learn what it opens, and again when it is read from; one
    part is open at a time. As the first part is laid out, so are the others whose axes allow it.
    """
    if not openers:
        raise LatentsError(f"{name}: expected latents, found none: check what wrote it")
    store = _JoinedStore(openers, reading, name)
    remark = f"each part {store.part_remark}" if store.part_remark else ""
    return StoredSource(
        store, "T C H W", name=name, kind=kind, remark=remark, part_layout=store.part_layout
    )


class _JoinedStore:
    """Sources one after another, as one (T,C,h,w) array."""

    def __init__(self, openers: Sequence[Opener], reading: Reading, name: str) -> None:
        self._openers = tuple(openers)
        self._name = name
        self._current: tuple[int, StoredSource] | None = None
        first = openers[0](reading)
        self.part_layout, self.part_remark = first.part_layout, first.remark
        self._reading = replace(reading, alike=first.part_layout)
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
        source = self._openers[number](self._reading)
        found = (source.channels, source.height, source.width)
        if found != self.shape[1:] or source.dtype != self.dtype:
            raise LatentsError(
                f"{self._name}: expected (C,h,w) {self.shape[1:]} {_short(self.dtype)} in every "
                f"part, found {found} {_short(source.dtype)} in part {number}: "
                "give all parts one size and dtype"
            )
        self._current = (number, source)
        return source


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _listing(entries: Mapping[str, ArrayInfo]) -> str:
    shown = [f"{key!r}: {info.description}" for key, info in list(entries.items())[:8]]
    more = f" and {len(entries) - 8} more" if len(entries) > 8 else ""
    return ", ".join(shown) + more if shown else "no arrays"
