"""Sources of arrays, once it is known which axis is which."""

from __future__ import annotations

import logging
import math
import sys
from typing import TYPE_CHECKING

from taesd_stream.errors import LatentsError, LayoutError
from taesd_stream.latents.checks import require_channels, require_floating
from taesd_stream.latents.layout_by_content import channels_are_last, layout_by_content
from taesd_stream.latents.layouts import (
    channels_last,
    infer_layout,
    parse_layout,
    possible_layouts,
)
from taesd_stream.latents.packed_choice import packed_reading
from taesd_stream.latents.source import Store, StoredSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taesd_stream.latents.metadata import LatentMetadata
    from taesd_stream.latents.read_options import ReadOptions

__all__ = ["open_store"]

_log = logging.getLogger("taesd_stream")

_SEE = "see --layout (layout= in Python)"


def open_store(
    store: Store,
    options: ReadOptions,
    *,
    name: str,
    kind: str,
    metadata: LatentMetadata | None = None,
) -> StoredSource:
    """The source for an array, once its dtype and its layout are known to be right.

    Where the axes fit several layouts, the array's numbers are asked. ``metadata`` is what
    the file says of it.

    Raises:
        LatentsError: the array cannot be latents.
        LayoutError: the axes fit several layouts and the numbers do not tell either.
    """
    require_floating(store.dtype, name)
    if max((math.prod(store.shape[:-2]), *store.shape[-2:])) > sys.maxsize:
        store.close()
        raise LatentsError(
            f"{name}: expected latents, found an array that claims to be of shape "
            f"{tuple(store.shape)!s:.80}: copy or save it anew"
        )
    packed = packed_reading(store, options, name)
    if packed is not None:
        return packed.source(store, options, name=name, kind=kind, metadata=metadata)
    if options.size is not None and options.alike is None:
        _log.info("%s: the size is left out, as these latents are not packed: they tell it", name)
    try:
        layout, remark = _told(store, options, name)
    except LayoutError:
        store.close()
        raise
    return StoredSource(store, layout, name=name, kind=kind, remark=remark, metadata=metadata)


def _told(store: Store, options: ReadOptions, name: str) -> tuple[str, str]:
    """The layout, and a remark on it: by the caller, or by the shape, or by the numbers."""
    channels_told_last = _channels_told_last(store, options, name)
    if channels_told_last is not None:
        return channels_told_last
    try:
        layout, remark = _told_by_shape(store.shape, options, name)
    except LayoutError as error:
        told = _told_by_content(store, options, error.readings, name)
        if told is None:
            raise
        return told
    return _unless_content_says(layout, remark, store, options, name)


def _channels_told_last(store: Store, options: ReadOptions, name: str) -> tuple[str, str] | None:
    """The layout whose channels are last and a remark, where others fit but the numbers say so."""
    shape, channels = store.shape, options.possible_channels
    last = channels_last(shape, channels)
    others = ", ".join(set(possible_layouts(shape, channels)) - {last or ""})
    if options.layout is not None or last is None or not others or 0 in shape:
        return None
    if options.alike is not None:
        return (last, "") if options.alike == last else None
    if not channels_are_last(store):
        return None
    taken = f"taken as {last}, told by content: neighbours look alike along T, H and W, and not C"
    _log.info("%s: %s; --layout (layout= in Python) overrides this", name, taken)
    return last, f"{taken}; {others} would fit too: {_SEE}"


def _told_by_shape(shape: Sequence[int], options: ReadOptions, name: str) -> tuple[str, str]:
    """The layout that the caller states, or the one that the shape tells, and a remark on it."""
    if math.prod(shape) == 0:
        raise LatentsError(
            f"{name}: expected latents, found an empty array of shape {tuple(shape)}: "
            "check what wrote it"
        )
    try:
        if options.layout is None:
            layout = infer_layout(shape, options.possible_channels)
        else:
            layout = parse_layout(options.layout, shape)
    except LayoutError as error:
        raise LayoutError(f"{name}: {error}", readings=error.readings) from None
    except LatentsError as error:
        raise LatentsError(f"{name}: {error}") from None
    require_channels(shape[layout.split().index("C")], options.channels, name)
    others = set(possible_layouts(shape, options.possible_channels)) - {layout}
    if options.layout is not None or not others:
        return layout, ""
    return layout, f"taken as {layout}, though {', '.join(sorted(others))} would fit: {_SEE}"


def _unless_content_says(
    layout: str, remark: str, store: Store, options: ReadOptions, name: str
) -> tuple[str, str]:
    """The layout of four axes, T before C where both fit, unless the numbers tell the contrary."""
    readings = possible_layouts(store.shape, options.possible_channels)
    if options.layout is not None or len(readings) < 2:
        return layout, remark
    told = _told_by_content(store, options, readings, name, expected=layout)
    if told is None:
        others = ", ".join(reading for reading in readings if reading != layout)
        doubt = f"taken as {layout}, though {others} would fit and the numbers do not tell"
        _log.info("%s: %s; --layout (layout= in Python) overrides this", name, doubt)
    return (layout, remark) if told is None or told[0] == layout else told


def _told_by_content(
    store: Store,
    options: ReadOptions,
    readings: Sequence[str],
    name: str,
    *,
    expected: str | None = None,
) -> tuple[str, str] | None:
    """The one of ``readings`` that an array has, and a remark on it; None where nothing tells.

    It is logged, if it is another than the one that is ``expected``.
    """
    if options.alike is not None and options.alike in readings:
        return options.alike, ""
    told = layout_by_content(store, readings, usual=expected)
    if told is None:
        return None
    taken = f"taken as {told.layout}, told by content: {told.because}"
    if told.layout != expected:
        _log.info("%s: %s; --layout (layout= in Python) overrides this", name, taken)
    others = ", ".join(layout for layout in readings if layout != told.layout)
    return told.layout, f"{taken}; {others} would fit too: {_SEE}"
