"""Pictures larger than memory: strips of rows in, files that people can look at out.

``open_rows`` takes the rows of a picture from the top, uint8 (n, width, 3), and makes a pyramidal
BigTIFF, an OME-Zarr, a Deep Zoom folder, a PNG or a .npy of them, in memory that does not depend
on the height and is bounded for any width. Importing this is cheap: the libraries of a format are
loaded when it is written. ``open_windows`` reads parts of such pictures.
"""

from __future__ import annotations

from video.large.npy import RowFile
from video.large.reading import WindowReader, open_windows
from video.large.row_writer import ROW_SUFFIXES, RowWriter, check_rows, needed_bytes, open_rows

__all__ = [
    "ROW_SUFFIXES",
    "RowFile",
    "RowWriter",
    "WindowReader",
    "check_rows",
    "needed_bytes",
    "open_rows",
    "open_windows",
]
