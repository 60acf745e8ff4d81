"""The formats of large pictures: what each can hold, and where it may be put."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from video.errors import InputError
from video.large.folders import TiledPart, check_tiled, check_zarr, is_zarr_group
from video.safe_files.part_file import PartFile, check_output
from video.safe_files.part_folder import PartFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    from video.safe_files.part_file import UnfinishedOutput

__all__ = [
    "FORMATS",
    "ROW_SUFFIXES",
    "RowFormat",
    "RowPicture",
    "choose_compression",
    "choose_format",
]


@dataclass(frozen=True)
class RowFormat:
    """One format.

    Attributes:
        name: what we call it.
        suffixes: what its files' names end in.
        compressions: what it can be compressed with; the first is the default.
        modules: what has to be installed.
        check: raises if nothing may be written at a path, given whether to overwrite.
        reserve: makes the place of an unfinished output beside a path, or in a folder.
        max_side: the greatest width and height in pixels; None if there is none worth naming.
        holds_alpha: whether pixels may have an alpha channel; not in JPEG.
    """

    name: str
    suffixes: tuple[str, ...]
    compressions: tuple[str, ...]
    modules: tuple[str, ...]
    check: Callable[[Path, bool], object]
    reserve: Callable[[Path, Path | None], UnfinishedOutput]
    max_side: int | None = None
    holds_alpha: bool = False

    def suffix_of(self, path: Path) -> str | None:
        """Which of the suffixes, in small letters, ``path`` has after at least one character."""
        name = path.name.lower()
        fitting = (each for each in self.suffixes if name.endswith(each) and name != each)
        return next(fitting, None)


def _check_file(path: Path, overwrite: bool) -> None:
    check_output(path, overwrite=overwrite)


def _reserve_zarr(path: Path, place: Path | None) -> PartFolder:
    suffix = ZARR.suffix_of(path) or path.suffix
    return PartFolder(path, suffix, is_zarr_group, place)


# tifffile takes sides that fit 32 bits, as the tags do.
TIFF = RowFormat(
    "BigTIFF",
    (".tif", ".tiff"),
    ("deflate", "jpeg", "none"),
    ("tifffile",),
    _check_file,
    PartFile,
    max_side=2**32 - 1,
    holds_alpha=True,
)
ZARR = RowFormat(
    "OME-Zarr",
    (".ome.zarr", ".zarr"),
    ("zstd", "none"),
    ("zarr",),
    check_zarr,
    _reserve_zarr,
)
DEEP_ZOOM = RowFormat("Deep Zoom", (".dzi",), ("jpeg", "png"), (), check_tiled, TiledPart)
PNG = RowFormat("PNG", (".png",), ("deflate",), ("png",), _check_file, PartFile, 2**31 - 1, True)
NPY = RowFormat("NumPy", (".npy",), ("none",), (), _check_file, PartFile, holds_alpha=True)

FORMATS = (TIFF, ZARR, DEEP_ZOOM, PNG, NPY)
ROW_SUFFIXES = tuple(suffix for row_format in FORMATS for suffix in row_format.suffixes)


def choose_format(path: Path) -> RowFormat:
    """The format that a name's suffix stands for.

    Raises:
        InputError: if it stands for none.

    Example:
        >>> choose_format(Path("a.OME.zarr")).name
        'OME-Zarr'
    """
    for row_format in FORMATS:
        if row_format.suffix_of(path):
            return row_format
    raise InputError(f"expected a name that ends in {', '.join(ROW_SUFFIXES)}; found '{path.name}'")


def choose_compression(row_format: RowFormat, compression: str | None) -> str:
    """``compression``, or the format's default for None.

    Raises:
        InputError: if the format has no such compression.
    """
    if compression is None:
        return row_format.compressions[0]
    if compression not in row_format.compressions:
        raise InputError(
            f"expected a compression of {row_format.name}, {' or '.join(row_format.compressions)};"
            f" found {compression!r}"
        )
    return compression


@dataclass(frozen=True)
class RowPicture:
    """A picture that is to be written by rows, and how.

    Attributes:
        path: the final name.
        format: what its suffix stands for.
        width, height: in pixels.
        compression: one of the format's.
        quality: of jpeg, 1 to 100; None for the default.
        memory_bytes: about what writing it may take.
        alpha: whether its pixels are RGBA.

    Raises:
        InputError: if the format cannot hold it.
    """

    path: Path
    format: RowFormat
    width: int
    height: int
    compression: str
    quality: int | None = None
    memory_bytes: int = 0
    alpha: bool = False

    def __post_init__(self) -> None:
        self._check_quality()
        self._check_size()
        if self.memory_bytes < 0:
            raise InputError(f"expected a number of bytes of memory; found {self.memory_bytes}")
        if self.alpha and (self.compression == "jpeg" or not self.format.holds_alpha):
            able = ", ".join(each.suffixes[0] for each in FORMATS if each.holds_alpha)
            raise InputError(
                f"{self.format.name} with {self.compression} holds no alpha channel; write {able}"
                " without jpeg"
            )

    def _check_quality(self) -> None:
        if self.quality is None:
            return
        if self.compression != "jpeg":
            has_jpeg = "jpeg" in self.format.compressions
            add = "give it a compression of jpeg, or " if has_jpeg else ""
            raise InputError(
                f"expected no quality for {self.format.name} with compression {self.compression},"
                f" found {self.quality}; {add}leave the quality out"
            )
        if not 1 <= self.quality <= 100:
            raise InputError(f"expected a quality of jpeg from 1 to 100; found {self.quality}")

    def _check_size(self) -> None:
        size, longest = f"{self.width}x{self.height}", max(self.width, self.height)
        if min(self.width, self.height) < 1:
            raise InputError(f"expected a size of at least 1x1; found {size}")
        limit = self.format.max_side
        if limit is not None and longest > limit:
            larger = ".tif, .ome.zarr or .dzi" if longest <= 2**32 - 1 else ".ome.zarr"
            raise InputError(
                f"{self.format.name} holds at most {limit} pixels a side; found {size}:"
                f" write {larger}"
            )

    @property
    def channels(self) -> int:
        """Of a pixel: 3, or 4 with alpha."""
        return 4 if self.alpha else 3

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.name[: -len(self.format.suffix_of(self.path) or "")]
