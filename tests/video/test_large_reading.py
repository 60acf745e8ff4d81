"""Windows of large pictures: what is read is what lies there, and no more is decoded for it."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from video import VideoInputError
from video.large.errors import MissingLibraryError
from video.large.npy import RowFile
from video.large.reading import WindowReader, open_windows
from video.large.rows import open_rows

tifffile = pytest.importorskip("tifffile")
zarr = pytest.importorskip("zarr")
pytest.importorskip("imagecodecs")

HEIGHT, WIDTH = 83, 120
Pixels = NDArray[Any]
Save = Callable[[Path, Pixels], Path]


def picture(dtype: type = np.uint8, channels: int = 3) -> Pixels:
    rng = np.random.default_rng(0)
    return rng.integers(0, np.iinfo(dtype).max + 1, (HEIGHT, WIDTH, channels), dtype)


def smooth() -> Pixels:
    ramp = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))
    return (ramp[..., None] * [1, 0.5, 0.2]).astype(np.uint8)


def in_rgb(pixels: Pixels) -> Pixels:
    return np.repeat(pixels[..., :1], 3, axis=2) if pixels.shape[2] < 3 else pixels[..., :3]


def tiff(**options: object) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        channels = pixels.shape[2]
        array = pixels[..., 0] if channels == 1 else pixels
        if options.get("planarconfig") == "separate":
            array = np.moveaxis(pixels, 2, 0)
        given: dict[str, object] = {"photometric": "rgb" if channels >= 3 else "minisblack"}
        if channels in (2, 4):
            given |= {"planarconfig": "contig", "extrasamples": ["unassalpha"]}
        tifffile.imwrite(folder / "a.tif", array, **given | options)
        return folder / "a.tif"

    return save


def zarr_array(axes: str, version: int, chunks: tuple[int, ...], **options: object) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        array = arranged(pixels, axes)
        zarr.create_array(
            str(folder / "a.zarr"), data=array, chunks=chunks, zarr_format=version, **options
        )
        return folder / "a.zarr"

    return save


def arranged(pixels: Pixels, axes: str) -> Pixels:
    """With the axes that are named, new ones of size 1; without "c" the first channel alone."""
    pixels = pixels if "c" in axes else pixels[..., :1]
    order = ["yxc".index(axis) for axis in axes if axis in "yxc"]
    array = pixels.transpose(order) if "c" in axes else pixels[..., 0].transpose(order)
    new = tuple(index for index, axis in enumerate(axes) if axis in "tz")
    return np.ascontiguousarray(np.expand_dims(array, new))


def ome(axes: str, version: str, named: Callable[[str], object] = lambda name: {"name": name}) \
        -> Save:  # fmt: skip
    def save(folder: Path, pixels: Pixels) -> Path:
        group = zarr.create_group(str(folder / "g.zarr"), zarr_format=2 if version == "0.4" else 3)
        datasets = [{"path": "full"}, {"path": "half"}]
        images = [{"version": version, "axes": [named(a) for a in axes], "datasets": datasets}]
        attributes = {"version": version, "multiscales": images}
        group.attrs.update(attributes if version == "0.4" else {"ome": attributes})
        sizes = {"y": 40, "x": 50}
        chunks = tuple(sizes.get(axis, 1) for axis in axes)
        group.create_array("full", data=arranged(pixels, axes), chunks=chunks)
        group.create_array("half", data=arranged(pixels[::2, ::2], axes), chunks=chunks)
        return folder / "g.zarr"

    return save


def npy(lead: bool = False) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        squeezed = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        np.save(folder / "a.npy", squeezed[None] if lead else squeezed)
        return folder / "a.npy"

    return save


def ours(name: str) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        with open_rows(folder / name, width=pixels.shape[1], height=len(pixels)) as writer:
            writer.write(pixels)
        return folder / name

    return save


def vips(**options: object) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        pyvips = pytest.importorskip("pyvips")
        image = pyvips.Image.new_from_array(pixels)
        image.tiffsave(str(folder / "a.tif"), tile=True, **options)
        return folder / "a.tif"

    return save


KINDS: dict[str, Save] = {
    "tiles": tiff(tile=(32, 48)),
    "deflate": tiff(tile=(16, 16), compression="zlib", predictor=True),
    "lzw strips": tiff(rowsperstrip=7, compression="lzw"),
    "raw": tiff(),
    "raw strips": tiff(rowsperstrip=7),
    "big": tiff(bigtiff=True, tile=(32, 32)),
    "planes": tiff(planarconfig="separate", tile=(32, 48)),
    "planes in strips": tiff(planarconfig="separate", rowsperstrip=9, compression="zstd"),
    "big-endian": tiff(byteorder=">", tile=(32, 48)),
    "raw big-endian": tiff(byteorder=">"),
    "pages": lambda folder, pixels: tiff(tile=(32, 48), compression="zlib")(
        folder, np.stack([pixels, pixels // 2])
    ),
    "libvips": vips(pyramid=True, compression="deflate", bigtiff=True, tile_width=64),
    "our .tif": ours("a.tif"),
    "our .ome.zarr": ours("a.ome.zarr"),
    "our .npy": ours("a.npy"),
    "zarr 2": zarr_array("yxc", 2, (20, 33, 3)),
    "zarr 3": zarr_array("cyx", 3, (1, 50, 31)),
    "shards": zarr_array("yxc", 3, (10, 16, 3), shards=(40, 64, 3)),
    "ome 0.4": ome("tczyx", "0.4"),
    "ome 0.5": ome("cyx", "0.5"),
    "ome turned": ome("xcy", "0.5"),
    "ome of strings": ome("zyxc", "0.4", named=str),
    "npy": npy(),
    "npy of frames": npy(lead=True),
}
MORE_KINDS = {
    "npy big-endian": lambda folder, pixels: npy()(folder, pixels.astype(">u2")),
    "zarr big-endian": lambda folder, pixels: KINDS["zarr 2"](folder, pixels.astype(">u2")),
}


@st.composite
def windows(draw: st.DrawFn) -> tuple[slice, slice]:
    def part(size: int) -> slice:
        start = draw(st.integers(0, size - 1))
        return slice(start, draw(st.integers(start + 1, size)))

    return part(HEIGHT), part(WIDTH)


def whole(reader: WindowReader) -> Pixels:
    return reader.read(slice(0, reader.height), slice(0, reader.width))


def read_all(path: Path) -> Pixels:
    with open_windows(path) as reader:
        return whole(reader)


@pytest.fixture(scope="module", params=KINDS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return KINDS[request.param](tmp_path_factory.mktemp("reading"), picture())


@settings(max_examples=15, deadline=None, derandomize=True)
@given(several=st.lists(windows(), min_size=1, max_size=4), cached=st.sampled_from([0, 9000]))
def test_windows_are_parts_of_the_picture(
    saved: Path, several: list[tuple[slice, slice]], cached: int
) -> None:
    expected = picture()
    with open_windows(saved, cache_bytes=cached) as reader:
        assert (reader.height, reader.width, reader.path) == (HEIGHT, WIDTH, saved)
        for rows, columns in several:
            made = reader.read(rows, columns)
            assert made.dtype == np.uint8
            np.testing.assert_array_equal(made, expected[rows, columns])
            made[:] = 0  # it is ours to change


@pytest.mark.parametrize(
    "kind",
    ["tiles", "planes", "raw", "raw big-endian", "big-endian", "npy", "zarr 3", *MORE_KINDS],
)
def test_sixteen_bits_are_rounded_to_eight(kind: str, tmp_path: Path) -> None:
    pixels = picture(np.uint16)
    with open_windows((KINDS | MORE_KINDS)[kind](tmp_path, pixels)) as reader:
        made = reader.read(slice(3, 70), slice(9, 99))
    np.testing.assert_array_equal(made, np.round(pixels[3:70, 9:99] / 257).astype(np.uint8))


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("kind", ["tiles", "raw", "deflate", "npy", "zarr 3", "ome 0.4"])
def test_grey_becomes_rgb_and_alpha_is_left_out(kind: str, channels: int, tmp_path: Path) -> None:
    if channels == 2 and kind in ("npy", "zarr 3", "ome 0.4"):
        pytest.skip("only a TIFF says that its second channel is alpha")
    pixels = picture(channels=channels)
    made = read_all(KINDS[kind](tmp_path, pixels))
    np.testing.assert_array_equal(made, in_rgb(pixels))


def test_alpha_in_a_plane_of_its_own_is_not_decoded(tmp_path: Path) -> None:
    pixels = picture(channels=4)
    save = tiff(planarconfig="separate", tile=(48, 64), compression="zlib")
    with open_windows(save(tmp_path, pixels)) as reader:
        decoded = count_decodes(reader)
        np.testing.assert_array_equal(whole(reader), pixels[..., :3])
    assert sorted(decoded) == list(range(12))


@pytest.mark.parametrize("axes", ["yx", "zyx", "tyx"])
def test_zarr_arrays_without_colors_are_grey(axes: str, tmp_path: Path) -> None:
    expected = in_rgb(picture(channels=1))
    plain = zarr_array(axes, 3, tuple({"y": 40, "x": 50}.get(axis, 1) for axis in axes))
    for save in (plain, ome(axes, "0.5")):
        np.testing.assert_array_equal(read_all(save(tmp_path, picture(channels=1))), expected)


def test_axes_are_told_by_their_names_not_by_their_sizes(tmp_path: Path) -> None:
    pixels = picture()[:, :3]
    np.testing.assert_array_equal(read_all(ome("cyx", "0.5")(tmp_path, pixels)), pixels)


@pytest.mark.parametrize(
    "save",
    [
        ours("a.tif"),
        tiff(tile=(32, 32), compression="jpeg", subsampling=(1, 1)),
        tiff(tile=(32, 32), compression="jpeg", subsampling=(2, 2)),
        tiff(rowsperstrip=16, compression="jpeg"),
        tiff(tile=(32, 32), compression="jpeg", compressionargs={"outcolorspace": "rgb"}),
        vips(pyramid=True, compression="jpeg", Q=95),
        vips(compression="jpeg", Q=80, tile_width=64, tile_height=32),
    ],
)
def test_jpeg_in_a_tiff_comes_out_as_its_library_decodes_it(save: Save, tmp_path: Path) -> None:
    path = save(tmp_path, smooth())
    with open_windows(path) as reader:
        made = reader.read(slice(5, 80), slice(10, 110))
    np.testing.assert_array_equal(made, tifffile.imread(path)[5:80, 10:110])
    assert np.abs(made.astype(int) - smooth()[5:80, 10:110]).max() < 16


def count_decodes(reader: WindowReader) -> list[int]:
    """The numbers of the tiles that tifffile decodes from now on."""
    numbers: list[int] = []
    blocks: Any = reader._pixels
    cells = dict(zip(blocks._decode.__code__.co_freevars, blocks._decode.__closure__, strict=True))
    page = cells["page"].cell_contents
    decode = page.decode

    def counting(data: bytes, number: int, **options: object) -> object:
        numbers.append(number)
        return decode(data, number, **options)

    page.__dict__["decode"] = counting  # where its cached property keeps it
    return numbers


def test_only_what_a_window_needs_is_decoded(tmp_path: Path) -> None:
    with open_windows(KINDS["deflate"](tmp_path, picture())) as reader:
        decoded = count_decodes(reader)
        reader.read(slice(17, 40), slice(20, 33))
        assert sorted(decoded) == [8 + 1, 8 + 2, 16 + 1, 16 + 2]


def read_in_windows(reader: WindowReader, height: int, width: int) -> None:
    """From left to right, then the next row."""
    for top in range(0, reader.height, height):
        for left in range(0, reader.width, width):
            rows = slice(top, min(top + height, reader.height))
            reader.read(rows, slice(left, min(left + width, reader.width)))


def test_a_tile_is_decoded_once_for_all_windows_if_a_row_of_them_is_kept(tmp_path: Path) -> None:
    path = KINDS["deflate"](tmp_path, picture())
    times = {}
    for kept in (0, 7, 8):
        with open_windows(path, cache_bytes=kept * 16 * 16 * 3) as reader:
            decoded = count_decodes(reader)
            read_in_windows(reader, 4, 4)
            times[kept] = len(decoded)
    tiles = 6 * 8
    # 21 rows of windows; a tile is in the last four or, of the last row of tiles, one of them.
    assert times == {0: 21 * 8, 7: 21 * 8, 8: tiles}


@pytest.mark.parametrize("kept", [1, 4])
def test_memory_is_bounded_by_window_cache_and_tile(kept: int, tmp_path: Path) -> None:
    side, tile = 2048, 256
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 4), np.uint8)
    path = tiff(tile=(tile, tile), compression="zlib", compressionargs={"level": 1})(
        tmp_path, pixels
    )
    tile_bytes, window_bytes = tile * tile * 3, 128 * 512 * 3
    with open_windows(path, cache_bytes=kept * tile_bytes) as reader:
        tracemalloc.start()
        try:
            read_in_windows(reader, 128, 512)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # At hand: the tile before, what is stored, and that decoded with its alpha, and copied.
    assert peak < kept * tile_bytes + window_bytes + 6 * tile_bytes


def test_a_raw_tiff_in_one_strip_of_any_size_is_read_by_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    made = tifffile.memmap(path, shape=(11000, 9000, 3), dtype=np.uint8, photometric="rgb")
    made[9000, 8000] = (1, 2, 3)
    del made
    with open_windows(path) as reader:
        window = reader.read(slice(8999, 9001), slice(8000, 8002))
    assert window.tolist() == [[[0, 0, 0]] * 2, [[1, 2, 3], [0, 0, 0]]]


def overwrite_tags(path: Path, change: Callable[[list[int], list[int]], None]) -> None:
    """Change the offsets and the byte counts of the tiles of a TIFF."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = [file.pages[0].tags[name] for name in ("TileOffsets", "TileByteCounts")]
        offsets, counts = (list(tag.value) for tag in tags)
        change(offsets, counts)
        tags[0].overwrite(offsets)
        tags[1].overwrite(counts, dtype=tags[1].dtype if max(counts) < 65536 else "I")


def test_what_was_never_written_is_black(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tiles = [None if number % 2 else np.full((32, 32, 3), 200, np.uint8) for number in range(12)]
    with tifffile.TiffWriter(path) as file:
        file.write(
            iter(tiles), shape=(HEIGHT, WIDTH, 3), dtype=np.uint8, tile=(32, 32), photometric="rgb"
        )
    made = read_all(path)[:32, :64]
    assert (made[:, :32] == 200).all()
    assert (made[:, 32:] == 0).all()


def test_a_plane_that_was_never_written_takes_no_other_with_it(tmp_path: Path) -> None:
    path = KINDS["planes"](tmp_path, picture())

    def leave_green_out(offsets: list[int], counts: list[int]) -> None:
        offsets[9:18] = counts[9:18] = [0] * 9

    overwrite_tags(path, leave_green_out)
    np.testing.assert_array_equal(read_all(path), picture() * np.array([1, 0, 1], np.uint8))


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


def refuse(path: Path, said: str) -> None:
    """Refused when it is opened or read, in one line that names it."""
    with pytest.raises(VideoInputError, match=said) as caught, open_windows(path) as reader:
        whole(reader)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


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
    with open_windows(path) as reader:  # the others are as good as ever
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
def test_windows_that_cannot_be(rows: slice, columns: slice, tmp_path: Path) -> None:
    with open_windows(KINDS["npy"](tmp_path, picture())) as reader:
        reader.read(slice(np.int64(0), np.int64(4), 1), slice(0, 5))
        with pytest.raises(VideoInputError, match="expected a window within the 120x83 pixels"):
            reader.read(rows, columns)


@pytest.mark.parametrize("kind", ["tiles", "npy", "zarr 3"])
def test_nothing_is_read_once_it_is_closed(kind: str, tmp_path: Path) -> None:
    with open_windows(KINDS[kind](tmp_path, picture())) as reader:
        pass
    reader.close()
    with pytest.raises(VideoInputError, match="is closed"):
        whole(reader)


@pytest.mark.parametrize("kind", ["tiles", "npy", "raw"])
def test_a_file_that_shrinks_while_it_is_read(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind](tmp_path, picture())
    with open_windows(path) as reader:
        reader.read(slice(0, 5), slice(0, 5))
        os.truncate(path, 2000)
        with pytest.raises(VideoInputError, match="changed while it was being read"):
            reader.read(slice(60, 83), slice(0, 5))
        reader._stamps = reader._found_stamps()  # it shrank after we looked
        with pytest.raises(VideoInputError, match=path.name):
            reader.read(slice(60, 83), slice(0, 5))


def test_a_file_or_folder_that_is_replaced_or_removed(tmp_path: Path) -> None:
    path = KINDS["npy"](tmp_path, picture())
    with open_windows(path) as reader:
        path.unlink()
        with pytest.raises(VideoInputError, match="cannot read"):
            whole(reader)
    path = KINDS["ome 0.4"](tmp_path, picture())
    with open_windows(path) as reader:
        (path / "full" / ".zarray").write_bytes((path / "full" / ".zarray").read_bytes() + b" ")
        with pytest.raises(VideoInputError, match="changed while"):
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


def save_palette(folder: Path, pixels: Pixels) -> Path:
    colors = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(folder / "a.tif", pixels[..., 0], photometric="palette", colormap=colors)
    return folder / "a.tif"


def save_cmyk(folder: Path, pixels: Pixels) -> Path:
    tifffile.imwrite(folder / "a.tif", picture(channels=4), photometric="separated")
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
        (save_palette, "found PALETTE of 1 samples"),
        (save_cmyk, "found SEPARATED of 4 samples"),
        (tiff(photometric="ycbcr", compression="zlib", subsampling=(1, 1)), "found YCBCR"),
        (save_floats, "float32"),
        (save_twelve_bits, "uint16 of 12 bits"),
        (save_huge_strip, "found 10000x10000x3 of 1 bytes: save it in tiles"),
        (save_bytes("a.npy", b"\x93NUMPY\x01\0"), "as .npy"),
        (save_bytes("a.npy", b"\x93NUMPY\x09\0" + bytes(90)), "as .npy"),
        (npy_header((4, 4, 3), "<f4"), r"found float32 \(4, 4, 3\) in C order"),
        (npy_header((4, 4, 3), fortran=True), "in Fortran order"),
        (npy_header((4, 4, 3), "|O"), "found object"),
        (npy_header((-1, -4, 3)), r"found uint8 \(-1, -4, 3\)"),
        (npy_header((2, 4, 4, 3)), r"found uint8 \(2, 4, 4, 3\)"),
        (npy_header((2**40, 2**40, 3)), "is cut short: expected 36267"),
        (npy_header((0, 4, 3)), r"found uint8 \(0, 4, 3\)"),
        (save_unfinished, "is cut short: expected 29880 bytes of pixels, found 14400"),
        (save_group, "found a group without multiscales"),
        (save_group_in_group, "expected an array 'full' in .*; found a group"),
        (ome("cyx", "0.5", named=lambda name: {"name": 7}), "found a group without"),
        (ome("cyx", "0.5", named=lambda name: {"name": "z"}), "of axes 'zzz'"),
        (ome("zyx", "0.5"), None),
        (zarr_array("cyx", 3, (1, 50, 31), attributes={"ome": []}), None),
        (save_huge_chunk, "found 20000x20000 of 1 bytes"),
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


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("place", ["compressor", "filters"])
def test_pickles_are_never_read(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickles = pytest.importorskip("numcodecs.pickles")
    # As in versions of numcodecs that do not ask.
    monkeypatch.setattr(pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    path = zarr_array("yxc", 2, (83, 120, 3), compressors=None)(tmp_path, picture())
    metadata = json.loads((path / ".zarray").read_bytes())
    metadata[place] = {"id": "pickle"} if place == "compressor" else [{"id": "pickle"}]
    (path / ".zarray").write_text(json.dumps(metadata))
    (path / "0.0.0").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    refuse(path, "pickle")
    np.save(tmp_path / "a.npy", np.array([Trap(tmp_path / "sprung")]), allow_pickle=True)
    refuse(tmp_path / "a.npy", "found object")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("place", ["compressors", "filters"])
def test_pickles_that_zarr_lets_through_are_refused(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = KINDS["zarr 2"](tmp_path, picture())
    pickles = pytest.importorskip("numcodecs.pickles")
    # As zarr 3.0.8 has it, which would unpickle what the array holds.
    monkeypatch.setattr(zarr.Array, place, property(lambda array: (pickles.Pickle(),)))
    refuse(path, "is made of pickles")


@pytest.mark.parametrize(
    ("kind", "library"), [("tiles", "tifffile"), ("deflate", "imagecodecs"), ("zarr 3", "zarr")]
)
def test_a_missing_library_is_named(
    kind: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = KINDS[kind](tmp_path, picture())
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingLibraryError, match=rf"needs {library}: pip install 'taesd-stream\["):
        open_windows(path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_no_file_stays_open(tmp_path: Path) -> None:
    saved = [KINDS[kind](tmp_path, picture()) for kind in ("npy", "deflate", "zarr 3")]
    raw = tmp_path / "raw"
    raw.mkdir()
    bad = tmp_path / "bad"
    bad.mkdir()
    saved += [KINDS["raw"](raw, picture()), save_palette(bad, picture())]
    read_all(saved[2])  # zarr starts threads that stay
    before = len(os.listdir("/proc/self/fd"))
    for path in saved[:-1]:
        read_all(path)
    refuse(saved[-1], "PALETTE")
    assert len(os.listdir("/proc/self/fd")) == before
