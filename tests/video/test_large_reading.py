"""Regions of large pictures: what is read is what lies there, and no more is decoded for it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.video.large_pictures import (
    HEIGHT,
    KINDS,
    MORE_KINDS,
    WIDTH,
    Save,
    in_rgb,
    ome,
    ours,
    overwrite_tags,
    picture,
    read_all,
    regions,
    smooth,
    tiff,
    vips,
    whole,
    zarr_array,
)
from video.large.reading import RegionReader, open_regions
from video.transparency import Transparency

tifffile = pytest.importorskip("tifffile")
zarr = pytest.importorskip("zarr")
pytest.importorskip("imagecodecs")


@pytest.fixture(scope="module", params=KINDS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return KINDS[request.param](tmp_path_factory.mktemp("reading"), picture())


@settings(max_examples=15, deadline=None, derandomize=True)
@given(several=st.lists(regions(), min_size=1, max_size=4), cached=st.sampled_from([0, 9000]))
def test_regions_are_parts_of_the_picture(
    saved: Path, several: list[tuple[slice, slice]], cached: int
) -> None:
    expected = picture()
    with open_regions(saved, cache_bytes=cached) as reader:
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
    with open_regions((KINDS | MORE_KINDS)[kind](tmp_path, pixels)) as reader:
        made = reader.read(slice(3, 70), slice(9, 99))
    np.testing.assert_array_equal(made, np.round(pixels[3:70, 9:99] / 257).astype(np.uint8))


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("kind", ["tiles", "raw", "deflate", "npy", "zarr 3", "ome 0.4"])
def test_grey_becomes_rgb_and_alpha_is_laid_over_white(
    kind: str, channels: int, tmp_path: Path
) -> None:
    if channels == 2 and kind in ("npy", "zarr 3", "ome 0.4"):
        pytest.skip("only a TIFF says that its second channel is alpha")
    pixels = picture(channels=channels)
    path = KINDS[kind](tmp_path, pixels)
    with open_regions(path) as reader:
        np.testing.assert_array_equal(whole(reader), in_rgb(pixels))
        assert len(reader.notes) == (0 if channels == 1 else 1)
    with open_regions(path, transparency=Transparency(is_kept=True)) as reader:
        alpha = whole(reader)[..., 3]
        np.testing.assert_array_equal(alpha, 255 if channels == 1 else pixels[..., -1])
        assert reader.notes == ()


def test_premultiplied_alpha_is_told_from_straight(tmp_path: Path) -> None:
    straight = picture(channels=4)
    alpha = straight[..., 3:].astype(float) / 255
    multiplied = np.dstack((np.round(straight[..., :3] * alpha), straight[..., 3]))
    save = tiff(extrasamples=["assocalpha"], tile=(48, 64))
    made = read_all(save(tmp_path, multiplied.astype(np.uint8)))
    assert np.abs(made.astype(int) - in_rgb(straight)).max() <= 1


def test_a_fourth_channel_that_is_no_alpha_is_left_out(tmp_path: Path) -> None:
    pixels = picture(channels=4)
    made = read_all(tiff(extrasamples=["unspecified"], tile=(48, 64))(tmp_path, pixels))
    np.testing.assert_array_equal(made, pixels[..., :3])


def test_alpha_may_lie_in_a_plane_of_its_own(tmp_path: Path) -> None:
    pixels = picture(channels=4)
    save = tiff(planarconfig="separate", tile=(48, 64), compression="zlib")
    with open_regions(save(tmp_path, pixels)) as reader:
        decoded = count_decodes(reader)
        np.testing.assert_array_equal(whole(reader), in_rgb(pixels))
    assert sorted(decoded) == list(range(16))


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
    with open_regions(path) as reader:
        made = reader.read(slice(5, 80), slice(10, 110))
    np.testing.assert_array_equal(made, tifffile.imread(path)[5:80, 10:110])
    assert np.abs(made.astype(int) - smooth()[5:80, 10:110]).max() < 16


def count_decodes(reader: RegionReader) -> list[int]:
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


def test_only_what_a_region_needs_is_decoded(tmp_path: Path) -> None:
    with open_regions(KINDS["deflate"](tmp_path, picture())) as reader:
        decoded = count_decodes(reader)
        reader.read(slice(17, 40), slice(20, 33))
        assert sorted(decoded) == [8 + 1, 8 + 2, 16 + 1, 16 + 2]


def read_in_regions(reader: RegionReader, height: int, width: int) -> None:
    """From left to right, then the next row."""
    for top in range(0, reader.height, height):
        for left in range(0, reader.width, width):
            rows = slice(top, min(top + height, reader.height))
            reader.read(rows, slice(left, min(left + width, reader.width)))


def test_a_tile_is_decoded_once_for_all_regions_if_a_row_of_them_is_kept(tmp_path: Path) -> None:
    path = KINDS["deflate"](tmp_path, picture())
    times = {}
    for kept in (0, 7, 8):
        with open_regions(path, cache_bytes=kept * 16 * 16 * 3) as reader:
            decoded = count_decodes(reader)
            read_in_regions(reader, 4, 4)
            times[kept] = len(decoded)
    tiles = 6 * 8
    # 21 rows of regions; a tile is in the last four or, of the last row of tiles, one of them.
    assert times == {0: 21 * 8, 7: 21 * 8, 8: tiles}


@pytest.mark.parametrize("kept", [1, 4])
def test_memory_is_bounded_by_region_cache_and_tile(kept: int, tmp_path: Path) -> None:
    side, tile = 2048, 256
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 4), np.uint8)
    path = tiff(tile=(tile, tile), compression="zlib", compressionargs={"level": 1})(
        tmp_path, pixels
    )
    tile_bytes, region_bytes = tile * tile * 4, 128 * 512 * 4
    with open_regions(path, cache_bytes=kept * tile_bytes) as reader:
        tracemalloc.start()
        try:
            read_in_regions(reader, 128, 512)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # At hand: the tile before, what is stored, and that decoded, copied, and laid over white.
    assert peak < kept * tile_bytes + region_bytes + 6 * tile_bytes


def test_a_raw_tiff_in_one_strip_of_any_size_is_read_by_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    made = tifffile.memmap(path, shape=(11000, 9000, 3), dtype=np.uint8, photometric="rgb")
    made[9000, 8000] = (1, 2, 3)
    del made
    with open_regions(path) as reader:
        region = reader.read(slice(8999, 9001), slice(8000, 8002))
    assert region.tolist() == [[[0, 0, 0]] * 2, [[1, 2, 3], [0, 0, 0]]]


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
