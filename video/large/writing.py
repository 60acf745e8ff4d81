"""Rows of a large picture into a file whose suffix chooses the format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from video.large.deepzoom import DeepZoomEncoder
from video.large.formats import (
    DEEP_ZOOM,
    NPY,
    PNG,
    TIFF,
    ZARR,
    RowFormat,
    RowPicture,
    choose_compression,
    choose_format,
)
from video.large.libraries import require_library
from video.large.npy import NpyEncoder
from video.large.omezarr import OmeZarrEncoder
from video.large.png import PngEncoder
from video.large.row_writer import RowEncoder, RowWriter
from video.large.tiff import TiffEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike

__all__ = ["check_rows", "open_rows"]

_ENCODERS: Mapping[RowFormat, Callable[[Path, RowPicture], RowEncoder]] = {
    TIFF: TiffEncoder,
    ZARR: OmeZarrEncoder,
    DEEP_ZOOM: DeepZoomEncoder,
    PNG: PngEncoder,
    NPY: NpyEncoder,
}

# OpenCV refuses to read more, and it is not the only one.
_WIDELY_READ = 1 << 30


def check_rows(
    path: str | PathLike[str],
    *,
    width: int,
    height: int,
    compression: str | None = None,
    quality: int | None = None,
    overwrite: bool = False,
) -> None:
    """Refuse whatever can be refused before any work is done; nothing is created.

    Raises:
        InputError: for an unknown suffix, a compression the format has not, a quality where
            there is none, a size beyond its limits, a missing folder, or something at ``path`` that
            is never replaced.
        MissingExtraError: if the format's library is not installed.
        OutputExistsError: if the output exists and ``overwrite`` is false.

    Example:
        >>> check_rows("a.png", width=2**31, height=1)
        Traceback (most recent call last):
        ...
        taesd_stream.InputError: PNG holds at most 2147483647 pixels a side; found \
2147483648x1: write .tif, .ome.zarr or .dzi
    """
    picture = _picture(path, (width, height), compression, quality)
    _check(picture, overwrite=overwrite)


def _picture(
    path: str | PathLike[str],
    size: tuple[int, int],
    compression: str | None,
    quality: int | None,
    memory_bytes: int = 0,
    *,
    alpha: bool = False,
) -> RowPicture:
    row_format = choose_format(Path(path))
    chosen = choose_compression(row_format, compression)
    return RowPicture(Path(path), row_format, *size, chosen, quality, memory_bytes, alpha)


def _check(picture: RowPicture, *, overwrite: bool) -> None:
    picture.format.check(picture.path, overwrite)
    is_default = picture.compression == picture.format.compressions[0]
    with_what = "" if is_default else f" with {picture.compression}"
    needs_codec = picture.format is TIFF and picture.compression == "jpeg"
    for module in (*picture.format.modules, *["imagecodecs"] * needs_codec):
        require_library(module, f"{picture.format.suffixes[0]}{with_what}")


def open_rows(
    path: str | PathLike[str],
    *,
    width: int,
    height: int,
    compression: str | None = None,
    quality: int | None = None,
    memory_bytes: int = 64 << 20,
    overwrite: bool = False,
    part_folder: Path | None = None,
    alpha: bool = False,
) -> RowWriter:
    """Open a picture for writing, row by row; the suffix chooses the format.

    | suffix | format | compression, the default first |
    | --- | --- | --- |
    | .tif .tiff | tiled BigTIFF with a pyramid in SubIFDs | deflate, jpeg, none |
    | .ome.zarr .zarr | OME-Zarr 0.5 with a pyramid | zstd, none |
    | .dzi | Deep Zoom: x.dzi and the tiles in x_files | jpeg, png |
    | .png | PNG | deflate |
    | .npy | numpy, (1, height, width, 3) | none |

    Args:
        path: the output; while it is unfinished, it has ``.part`` in its name.
        width, height: of the picture, in pixels.
        compression: of the pixels; all but jpeg keep every value.
        quality: of jpeg, 1 to 100; 90 by default.
        memory_bytes: about what writing may take, whatever the size of the picture. Where a row
            of tiles needs more, it waits in a temporary file in the output's folder. A few tiles
            and two rows are held at the least: 8 MiB do for pictures of ordinary width.
        overwrite: whether a picture at ``path`` may be replaced. A folder of another kind never is.
        part_folder: where the unfinished output and temporary files lie, on the same disk; None is
            the folder of ``path``.
        alpha: whether rows are (n, width, 4), RGBA with straight alpha: in .tif without jpeg, in
            .png and in .npy.

    Raises:
        InputError, MissingExtraError, OutputExistsError: as ``check_rows`` does.
        OutputError: if the unfinished output cannot be made.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with open_rows(f"{folder}/a.npy", width=4, height=3) as writer:
        ...         writer.write(np.zeros((2, 4, 3), np.uint8))
        ...         writer.write(np.ones((1, 4, 3), np.uint8))
        ...     np.load(writer.path)[0, :, 0, 0].tolist()
        [0, 0, 1]
    """
    picture = _picture(path, (width, height), compression, quality, memory_bytes, alpha=alpha)
    _check(picture, overwrite=overwrite)
    return RowWriter(
        picture,
        _ENCODERS[picture.format],
        overwrite=overwrite,
        part_folder=part_folder,
        notes=_notes(picture),
    )


def _notes(picture: RowPicture) -> tuple[str, ...]:
    width, height = picture.width, picture.height
    if picture.format is PNG and width * height > _WIDELY_READ:
        return (
            f"many programs open no PNG of more than {_WIDELY_READ} pixels ({width}x{height} are"
            f" {width * height}): .tif, .ome.zarr and .dzi are read piece by piece",
        )
    return ()
