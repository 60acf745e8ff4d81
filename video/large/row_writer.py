"""Rows of a large picture into a file whose suffix chooses the format."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from video.errors import InputError
from video.large.disk_needs import needed_bytes
from video.large.formats import (
    DEEP_ZOOM,
    PNG,
    ROW_SUFFIXES,
    TIFF,
    ZARR,
    RowFormat,
    choose_compression,
    choose_format,
)
from video.large.libraries import require_library
from video.large.strip_writer import Sink, StripWriter

if TYPE_CHECKING:
    from os import PathLike
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ROW_SUFFIXES", "RowWriter", "check_rows", "needed_bytes", "open_rows"]

_BAND_SHARE = 16
# OpenCV refuses to read more, and it is not the only one.
_WIDELY_READ = 1 << 30


class RowWriter(Protocol):
    """A context manager that takes the rows of one picture, from the top.

    When the block ends well, the picture is at ``path``, complete. When it ends with an exception,
    KeyboardInterrupt included, nothing is left: half a pyramid is of no use. Only a complete
    picture whose name was taken meanwhile is kept, as ``kept_part``.
    """

    @property
    def path(self) -> Path:
        """The final name."""

    @property
    def rows_written(self) -> int:
        """How many rows there are so far."""

    @property
    def part_path(self) -> Path | None:
        """Where the unfinished output is; None once there is no such thing."""

    @property
    def kept_part(self) -> Path | None:
        """Where a complete output stayed that could not get its name."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever asked for the picture should be told, a line each."""

    def write(self, rows: NDArray[np.uint8]) -> None:
        """Add the next rows: uint8, (n, width, 3), RGB, any n from 1.

        Raises:
            InputError: if they are others, or more than the height.
            OutputError: if they cannot be written.
        """

    def close(self) -> None:
        """Complete the picture, as the end of the block does.

        Raises:
            InputError: if rows are missing.
            OutputExistsError: if another took the name meanwhile.
            OutputError: if it cannot be written.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


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
    target = Path(path)
    row_format = choose_format(target)
    chosen = choose_compression(row_format, compression)
    _check_quality(row_format, chosen, quality)
    if min(width, height) < 1:
        raise InputError(f"expected a size of at least 1x1; found {width}x{height}")
    limit = row_format.max_side
    if limit is not None and max(width, height) > limit:
        larger = ".tif, .ome.zarr or .dzi" if max(width, height) <= 2**32 - 1 else ".ome.zarr"
        raise InputError(
            f"{row_format.name} holds at most {limit} pixels a side; found {width}x{height}:"
            f" write {larger}"
        )
    row_format.check(target, overwrite)
    for module in _modules(row_format, chosen):
        require_library(module, _what(row_format, chosen))


def _check_quality(row_format: RowFormat, compression: str, quality: int | None) -> None:
    if quality is None:
        return
    if compression != "jpeg":
        add = "give it a compression of jpeg, or " if "jpeg" in row_format.compressions else ""
        raise InputError(
            f"expected no quality for {row_format.name} with compression {compression}, found"
            f" {quality}; {add}leave the quality out"
        )
    if not 1 <= quality <= 100:
        raise InputError(f"expected a quality of jpeg from 1 to 100; found {quality}")


def _modules(row_format: RowFormat, compression: str) -> tuple[str, ...]:
    needs_codec = row_format is TIFF and compression == "jpeg"
    return (*row_format.modules, "imagecodecs") if needs_codec else row_format.modules


def _what(row_format: RowFormat, compression: str) -> str:
    is_default = compression == row_format.compressions[0]
    return row_format.suffixes[0] + ("" if is_default else f" with {compression}")


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
    check_rows(
        path,
        width=width,
        height=height,
        compression=compression,
        quality=quality,
        overwrite=overwrite,
    )
    target = Path(path)
    row_format = choose_format(target)
    chosen = choose_compression(row_format, compression)
    if memory_bytes < 0:
        raise InputError(f"expected a number of bytes of memory; found {memory_bytes}")
    return StripWriter(
        target,
        width=width,
        height=height,
        part=partial(row_format.reserve, target, part_folder),
        open_sink=partial(
            _open_sink,
            row_format=row_format,
            width=width,
            height=height,
            compression=chosen,
            quality=quality,
            memory_bytes=memory_bytes,
            name=target.name[: -len(row_format.suffix_of(target) or "")],
        ),
        band_bytes=memory_bytes // _BAND_SHARE,
        overwrite=overwrite,
        notes=_notes(row_format, width, height),
    )


def _notes(row_format: RowFormat, width: int, height: int) -> tuple[str, ...]:
    if row_format is PNG and width * height > _WIDELY_READ:
        return (
            f"many programs open no PNG of more than {_WIDELY_READ} pixels ({width}x{height} are"
            f" {width * height}): .tif, .ome.zarr and .dzi are read piece by piece",
        )
    return ()


def _open_sink(
    part: Path,
    *,
    row_format: RowFormat,
    width: int,
    height: int,
    compression: str,
    quality: int | None,
    memory_bytes: int,
    name: str,
) -> Sink:
    size = {"width": width, "height": height}
    if row_format is PNG:
        from video.large.png import PngSink

        return PngSink(part, **size)
    if row_format is TIFF:
        from video.large.tiff import TiffSink

        return TiffSink(
            part, **size, compression=compression, quality=quality, memory_bytes=memory_bytes
        )
    if row_format is ZARR:
        from video.large.omezarr import OmeZarrSink

        return OmeZarrSink(
            part, **size, name=name, compression=compression, memory_bytes=memory_bytes
        )
    if row_format is DEEP_ZOOM:
        from video.large.deepzoom import DeepZoomSink

        return DeepZoomSink(
            part, **size, compression=compression, quality=quality, memory_bytes=memory_bytes
        )
    from video.large.npy import NpySink

    return NpySink(part, **size)
