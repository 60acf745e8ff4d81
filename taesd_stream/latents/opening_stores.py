"""Sources of arrays, once it is known which axis is which."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from taesd_stream.errors import LatentsError, LayoutError
from taesd_stream.latents.checks import require_channels, require_floating
from taesd_stream.latents.layout_by_content import layout_by_content
from taesd_stream.latents.layouts import infer_layout, parse_layout, possible_layouts
from taesd_stream.latents.source import Store, StoredSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taesd_stream.latents.read_options import ReadOptions

__all__ = ["open_store"]

_log = logging.getLogger("taesd_stream")


def open_store(store: Store, options: ReadOptions, *, name: str, kind: str) -> StoredSource:
    """The source for an array, once its dtype and its layout are known to be right.

    Where the axes fit several layouts, the array's numbers are asked.

    Raises:
        LatentsError: the array cannot be latents.
        LayoutError: the axes fit several layouts and the numbers do not tell either.
    """
    require_floating(store.dtype, name)
    try:
        layout = _layout_of(store.shape, options, name)
    except LayoutError as error:
        source = _told(store, options, error.readings, name=name, kind=kind)
        if source is None:
            store.close()
            raise
        return source
    others = set(possible_layouts(store.shape, options.possible_channels)) - {layout}
    remark = ""
    if options.layout is None and others:
        remark = f"taken as {layout}, though {', '.join(sorted(others))} would fit: see --layout"
    return StoredSource(store, layout, name=name, kind=kind, remark=remark)


def _layout_of(shape: Sequence[int], options: ReadOptions, name: str) -> str:
    """The layout that the caller states, or the one that the shape tells; every axis counted."""
    if math.prod(shape) == 0:
        raise LatentsError(
            f"{name}: expected latents, found an empty array of shape {tuple(shape)}: "
            "check what wrote it"
        )
    try:
        if options.layout is None:
            return infer_layout(shape, options.possible_channels)
        stated = parse_layout(options.layout, shape)
    except LayoutError as error:
        raise LayoutError(f"{name}: {error}", readings=error.readings) from None
    except LatentsError as error:
        raise LatentsError(f"{name}: {error}") from None
    require_channels(shape[stated.split().index("C")], options.channels, name)
    return stated


def _told(
    store: Store, options: ReadOptions, readings: Sequence[str], *, name: str, kind: str
) -> StoredSource | None:
    """The source for an array whose axes fit ``readings``; None where nothing tells which."""
    if options.alike is not None and options.alike in readings:
        return StoredSource(store, options.alike, name=name, kind=kind)
    told = layout_by_content(store, readings)
    if told is None:
        return None
    taken = f"taken as {told.layout}, told by content: {told.because}"
    _log.info("%s: %s; --layout (layout= in Python) overrides this", name, taken)
    others = ", ".join(layout for layout in readings if layout != told.layout)
    remark = f"{taken}; {others} would fit too: see --layout"
    return StoredSource(store, told.layout, name=name, kind=kind, remark=remark)
