"""Large pictures that are damaged, foreign, or change while they are read."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.video.large_pictures import (
    HEIGHT,
    KINDS,
    WIDTH,
    Pixels,
    Save,
    arranged,
    ome,
    overwrite_tags,
    picture,
    read_all,
    refuse,
    tiff,
    whole,
    zarr_array,
)
from video import InputError
from video.large.npy import RowFile
from video.large.reading import open_regions
from video.safe_files.watched_files import WatchedFiles

tifffile = pytest.importorskip("tifffile")
zarr = pytest.importorskip("zarr")
pytest.importorskip("imagecodecs")


def set_count(count: int) -> Callable[[list[int], list[int]], None]:
    def change(offsets: list[int], counts: list[int]) -> None:
        counts[1] = count

    return change


def set_offset(offset: int) -> Callable[[list[int], list[int]], None]:
    def change(offsets: list[int], counts: list[int]) -> None:
        offsets[1] = offset

    return change


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("deflate", set_count(0), "tile or strip 1 of .* is missing"),
        ("deflate", set_count(2**32 - 1), "is missing: found 4294967295 bytes"),
        ("deflate", set_count(300), "cannot decode .* at rows 0:83"),
        ("tiles", set_count(300), "cannot decode .* at rows 0:83"),
        ("deflate", set_offset(0), "is missing"),
        ("deflate", set_offset(2**32 - 1), "is missing"),
        ("jpeg", set_count(300), "is cut short: expected the end of a JPEG"),
    ],
)
def test_a_tile_that_is_not_there(
    kind: str, change: Callable[[list[int], list[int]], None], said: str, tmp_path: Path
) -> None:
    jpeg = tiff(tile=(64, 64), compression="jpeg", photometric="ycbcr")
    path = (KINDS | {"jpeg": jpeg})[kind](tmp_path, picture())
    overwrite_tags(path, change)
    refuse(path, said)


def tile_places(path: Path) -> tuple[int, ...]:
    with tifffile.TiffFile(path) as file:
        places: tuple[int, ...] = file.pages[0].dataoffsets
    return places


@pytest.mark.parametrize("kind", ["deflate", "lzw strips", "tiles", "raw", "raw strips"])
def test_a_tiff_that_is_cut_short(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind](tmp_path, picture())
    os.truncate(path, tile_places(path)[-1] + 10)
    refuse(path, "tile or strip .* is missing")


def test_a_broken_tile(tmp_path: Path) -> None:
    path = KINDS["deflate"](tmp_path, picture())
    content = bytearray(path.read_bytes())
    start = tile_places(path)[3]
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    refuse(path, "cannot decode")
    with open_regions(path) as reader:  # the others are as good as ever
        made = reader.read(slice(0, 16), slice(0, 48))
    np.testing.assert_array_equal(made, picture()[:16, :48])


def test_a_jpeg_tile_that_says_it_is_huge(tmp_path: Path) -> None:
    path = tiff(tile=(64, 64), compression="jpeg", photometric="ycbcr")(tmp_path, picture())
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xc0", tile_places(path)[0])
    content[frame + 5 : frame + 9] = b"\xff\xdc\xff\xdc"
    path.write_bytes(content)
    refuse(path, "found 65500x65500x3 of 1 bytes")


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (slice(0, 84), slice(0, 5)),
        (slice(-1, 4), slice(0, 5)),
        (slice(4, 4), slice(0, 5)),
        (slice(0, 4), slice(100, 121)),
        (slice(5, 4), slice(0, 1)),
        (slice(0, 4, 2), slice(0, 1)),
        (slice(None), slice(0, 1)),
        (slice(0, 4), slice(0.0, 1.5)),
    ],
)
def test_regions_that_cannot_be(rows: slice, columns: slice, tmp_path: Path) -> None:
    with open_regions(KINDS["npy"](tmp_path, picture())) as reader:
        reader.read(slice(np.int64(0), np.int64(4), 1), slice(0, 5))
        with pytest.raises(InputError, match="rows within 0:83 and columns within 0:120"):
            reader.read(rows, columns)


@pytest.mark.parametrize("kind", ["tiles", "npy", "zarr 3"])
def test_nothing_is_read_once_it_is_closed(kind: str, tmp_path: Path) -> None:
    with open_regions(KINDS[kind](tmp_path, picture())) as reader:
        pass
    reader.close()
    with pytest.raises(InputError, match="is closed"):
        whole(reader)


@pytest.mark.parametrize("kind", ["tiles", "npy", "raw"])
def test_a_file_that_shrinks_while_it_is_read(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind](tmp_path, picture())
    with open_regions(path) as reader:
        reader.read(slice(0, 5), slice(0, 5))
        os.truncate(path, 2000)
        with pytest.raises(InputError, match="changed while it was being read"):
            reader.read(slice(60, 83), slice(0, 5))
        reader._watched = WatchedFiles("it", path)  # it shrank after we looked
        with pytest.raises(InputError, match=path.name):
            reader.read(slice(60, 83), slice(0, 5))


def test_a_file_or_folder_that_is_replaced_or_removed(tmp_path: Path) -> None:
    path = KINDS["npy"](tmp_path, picture())
    with open_regions(path) as reader:
        path.unlink()
        with pytest.raises(InputError, match="cannot read"):
            whole(reader)
    path = KINDS["ome 0.4"](tmp_path, picture())
    with open_regions(path) as reader:
        (path / "full" / ".zarray").write_bytes((path / "full" / ".zarray").read_bytes() + b" ")
        with pytest.raises(InputError, match="changed while"):
            whole(reader)


def save_bytes(name: str, content: bytes) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return save


def npy_header(shape: tuple[int, ...], descr: str = "|u1", fortran: bool = False) -> Save:
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return save_bytes("a.npy", file.getvalue() + bytes(64))


def save_unfinished(folder: Path, pixels: Pixels) -> Path:
    with RowFile.create(folder / "a.npy", width=WIDTH, height=HEIGHT) as file:
        file.write(pixels[:40])
    return folder / "a.npy"


def save_group(folder: Path, pixels: Pixels) -> Path:
    zarr.create_group(str(folder / "g.zarr")).create_group("inner")
    return folder / "g.zarr"


def save_group_in_group(folder: Path, pixels: Pixels) -> Path:
    path = ome("cyx", "0.5")(folder, pixels)
    group = zarr.open(str(path))
    group.create_group("full", overwrite=True)
    return path


def save_huge_chunk(folder: Path, pixels: Pixels) -> Path:
    side = 20000
    zarr.create_array(
        str(folder / "a.zarr"), shape=(side, side), chunks=(side, side), dtype=np.uint8
    )
    return folder / "a.zarr"


def save_huge_strip(folder: Path, pixels: Pixels) -> Path:
    huge = np.broadcast_to(np.uint8(0), (10000, 10000, 3))
    tifffile.imwrite(folder / "a.tif", huge, compression="zlib", rowsperstrip=10000)
    return folder / "a.tif"


def save_lab(folder: Path, pixels: Pixels) -> Path:
    tifffile.imwrite(folder / "a.tif", pixels, photometric="cielab")
    return folder / "a.tif"


def save_cmyk(folder: Path, pixels: Pixels) -> Path:
    inks = picture(channels=4).astype(np.uint16)
    tifffile.imwrite(folder / "a.tif", inks, photometric="separated")
    return folder / "a.tif"


def save_floats(folder: Path, pixels: Pixels) -> Path:
    return tiff()(folder, pixels.astype(np.float32))


def save_twelve_bits(folder: Path, pixels: Pixels) -> Path:
    return tiff(bitspersample=12)(folder, pixels.astype(np.uint16))


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (save_bytes("a.tif", b"II*\0"), "as TIFF"),
        (save_bytes("a.tif", b"II*\0" + bytes(range(200))), "as TIFF|expected a grey or RGB"),
        (save_bytes("a.tif", b"\x89PNG\r\n\x1a\n"), "expected a TIFF, an OME-Zarr, .*another kind"),
        (save_bytes("a.npy", b""), "another kind"),
        (save_lab, "found CIELAB of 3 samples"),
        (save_cmyk, "found SEPARATED of 4 samples"),
        (tiff(photometric="ycbcr", compression="zlib", subsampling=(1, 1)), "found YCBCR"),
        (save_floats, "float32"),
        (save_twelve_bits, "uint16 of 12 bits"),
        (save_huge_strip, "found 10000x10000x3 of 1 bytes: save it in tiles"),
        (save_bytes("a.npy", b"\x93NUMPY\x01\0"), r"expected an \.npy header"),
        (save_bytes("a.npy", b"\x93NUMPY\x09\0" + bytes(90)), r"expected an \.npy header"),
        (npy_header((4, 4, 3), "<f4"), r"found float32 \(4, 4, 3\) in C order"),
        (npy_header((4, 4, 3), fortran=True), "in Fortran order"),
        (npy_header((4, 4, 3), "|O"), "found object"),
        (npy_header((-1, -4, 3)), r"its shape is \(-1, -4, 3\)"),
        (npy_header((2, 4, 4, 3)), r"found uint8 \(2, 4, 4, 3\)"),
        (npy_header((2**40, 2**40, 3)), "is cut short: expected 36267"),
        (npy_header((0, 4, 3)), r"found uint8 \(0, 4, 3\)"),
        (save_unfinished, "is cut short: expected 29880 bytes for .*, found 14400"),
        (save_group, "found a group without multiscales"),
        (save_group_in_group, "expected an array 'full' in .*; found a group"),
        (ome("cyx", "0.5", named=lambda name: {"name": 7}), "found a group without"),
        (ome("cyx", "0.5", named=lambda name: {"name": "z"}), "of axes 'zzz'"),
        (ome("zyx", "0.5"), None),
        (zarr_array("cyx", 3, (1, 50, 31), attributes={"ome": []}), None),
        (save_huge_chunk, "found one chunk of 20000x20000 of 1 bytes"),
        (lambda folder, pixels: folder, "as Zarr"),
        (lambda folder, pixels: folder / "none.tif", "found no such file"),
        (lambda folder, pixels: Path(os.devnull), "found something else"),
    ],
)
def test_what_is_no_such_picture(save: Save, said: str | None, tmp_path: Path) -> None:
    path = save(tmp_path, picture())
    if said is None:
        whole_shape = read_all(path).shape
        assert whole_shape == (HEIGHT, WIDTH, 3)
    else:
        refuse(path, said)


def test_more_than_one_plane_is_refused(tmp_path: Path) -> None:
    group = zarr.create_group(str(tmp_path / "g.zarr"))
    axes = [{"name": axis} for axis in "zyx"]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    group.create_array("0", data=arranged(picture(), "cyx"))
    refuse(tmp_path / "g.zarr", r"found uint8 \(3, 83, 120\) of axes 'zyx'")
