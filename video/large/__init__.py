"""Pictures larger than memory: strips of rows in, files that people can look at out.

``open_rows`` takes the rows of a picture from the top, uint8 (n, width, 3), and makes a pyramidal
BigTIFF, an OME-Zarr, a Deep Zoom folder, a PNG or a .npy of them, in memory that does not depend
on the height and is bounded for any width. ``open_regions`` reads parts of such pictures. Importing
this is cheap: modules are loaded when a name of theirs is first used, and the libraries of a format
when it is written or read.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from video.large.npy import RowFile
    from video.large.reading import RegionReader, open_regions
    from video.large.row_writer import RowWriter
    from video.large.writing import ROW_SUFFIXES, check_rows, needed_bytes, open_rows

__all__ = [
    "ROW_SUFFIXES",
    "RegionReader",
    "RowFile",
    "RowWriter",
    "check_rows",
    "needed_bytes",
    "open_regions",
    "open_rows",
]

_MODULE_OF = {
    "RegionReader": "reading",
    "RowFile": "npy",
    "RowWriter": "row_writer",
    "open_regions": "reading",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF.get(name, 'writing')}"), name)
