"""Pictures larger than memory: strips of rows in, files that people can look at out.

``writing.open_rows`` takes the rows of a picture from the top, uint8 (n, width, 3), and makes a
pyramidal BigTIFF, an OME-Zarr, a Deep Zoom folder, a PNG or a .npy of them, in memory that does not
depend on the height and is bounded for any width. ``reading.open_regions`` reads parts of such
pictures. The libraries of a format are loaded when it is written or read.
"""
