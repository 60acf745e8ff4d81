"""Parts of large pictures in files: what is read is what lies there, and no more is decoded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from video import VideoInputError
from video.large import MissingLibraryError, open_rows, open_windows

tifffile = pytest.importorskip("tifffile")
zarr = pytest.importorskip("zarr")
pytest.importorskip("imagecodecs")

HEIGHT, WIDTH = 83, 120
Pixels = NDArray[Any]
Save = Callable[[Path, Pixels], Path]


def picture(dtype: type = np.uint8, channels: int = 3) -> Pixels:
    rng = np.random.default_rng(0)
    return rng.integers(0, np.iinfo(dtype).max + 1, (HEIGHT, WIDTH, channels), dtype)


def tiff(**options: object) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        grey = pixels.shape[2] == 1
        array = pixels[..., 0] if grey else pixels
        if options.get("planarconfig") == "separate":
            array = np.moveaxis(pixels, 2, 0)
        photometric = "minisblack" if grey else "rgb"
        tifffile.imwrite(folder / "a.tif", array, photometric=photometric, **options)
        return folder / "a.tif"

    return save


def zarr_array(axes: str, version: int, chunks: tuple[int, ...]) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        order = {"yxc": (0, 1, 2), "cyx": (2, 0, 1)}[axes]
        array = zarr.create_array(
            str(folder / "a.zarr"), data=np.ascontiguousarray(pixels.transpose(order)),
            chunks=chunks, zarr_format=version,
        )  # fmt: skip
        return Path(str(array.store.root))

    return save


def npy(lead: bool) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        np.save(folder / "a.npy", pixels[None] if lead else pixels)
        return folder / "a.npy"

    return save


def ours(name: str) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        with open_rows(folder / name, width=WIDTH, height=HEIGHT) as writer:
            writer.write(pixels)
        return folder / name

    return save


KINDS: dict[str, Save] = {
    "tiles": tiff(tile=(32, 48)),
    "deflate": tiff(tile=(16, 16), compression="zlib", predictor=True),
    "lzw strips": tiff(rowsperstrip=7, compression="lzw"),
    "one strip": tiff(),
    "big": tiff(bigtiff=True, tile=(32, 32)),
    "planes": tiff(planarconfig="separate", tile=(32, 48)),
    "big-endian": tiff(byteorder=">", tile=(32, 48)),
    "our .tif": ours("a.tif"),
    "our .ome.zarr": ours("a.ome.zarr"),
    "our .npy": ours("a.npy"),
    "zarr 2": zarr_array("yxc", 2, (20, 33, 3)),
    "zarr 3": zarr_array("cyx", 3, (1, 50, 31)),
    "npy": npy(lead=False),
    "npy of frames": npy(lead=True),
}


def offsets_of(path: Path) -> tuple[int, ...]:
    with tifffile.TiffFile(path) as file:
        return file.pages[0].dataoffsets


@st.composite
def windows(draw: st.DrawFn) -> tuple[slice, slice]:
    def part(size: int) -> slice:
        start = draw(st.integers(0, size - 1))
        return slice(start, draw(st.integers(start + 1, size)))

    return part(HEIGHT), part(WIDTH)


@pytest.fixture(scope="module", params=KINDS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return KINDS[request.param](tmp_path_factory.mktemp("windows"), picture())


@settings(max_examples=15, deadline=None, derandomize=True)
@given(several=st.lists(windows(), min_size=1, max_size=4))
def test_windows_are_parts_of_the_picture(saved: Path, several: list[tuple[slice, slice]]) -> None:
    expected = picture()
    with open_windows(saved) as reader:
        assert (reader.height, reader.width, reader.path) == (HEIGHT, WIDTH, saved)
        for rows, columns in several:
            made = reader.read(rows, columns)
            np.testing.assert_array_equal(made, expected[rows, columns])
            made[:] = 0  # it is ours to change


@pytest.mark.parametrize("kind", ["tiles", "planes", "npy", "zarr 3"])
def test_sixteen_bits_are_rounded_to_eight(kind: str, tmp_path: Path) -> None:
    pixels = picture(np.uint16)
    with open_windows(KINDS[kind](tmp_path, pixels)) as reader:
        made = reader.read(slice(3, 70), slice(9, 99))
    np.testing.assert_array_equal(made, np.round(pixels[3:70, 9:99] / 257).astype(np.uint8))


@pytest.mark.parametrize(("kind", "channels"), [("tiles", 1), ("npy", 1), ("tiles", 4), ("npy", 4)])
def test_grey_becomes_rgb_and_alpha_is_left_out(kind: str, channels: int, tmp_path: Path) -> None:
    pixels = picture(channels=channels)
    save = tiff(tile=(32, 48), extrasamples=["unassalpha"]) if channels == 4 and kind == "tiles" \
        else KINDS[kind]  # fmt: skip
    with open_windows(save(tmp_path, pixels)) as reader:
        made = reader.read(slice(0, HEIGHT), slice(0, WIDTH))
    expected = np.repeat(pixels, 3, axis=2) if channels == 1 else pixels[..., :3]
    np.testing.assert_array_equal(made, expected)


def test_jpeg_in_a_tiff_comes_out_as_its_library_decodes_it(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[..., None] * [1, 0.5, 0.2]
    path = tmp_path / "a.tif"
    with open_rows(path, width=WIDTH, height=HEIGHT, compression="jpeg") as writer:
        writer.write(smooth.astype(np.uint8))
    with open_windows(path) as reader:
        made = reader.read(slice(5, 80), slice(10, 110))
    np.testing.assert_array_equal(made, tifffile.imread(path)[5:80, 10:110])
    assert np.abs(made - smooth[5:80, 10:110]).max() < 4


def test_a_pyramid_of_libvips(tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips")
    image = pyvips.Image.new_from_array(picture())
    path = tmp_path / "a.tif"
    image.tiffsave(str(path), tile=True, pyramid=True, compression="deflate", bigtiff=True)
    with open_windows(path) as reader:
        made = reader.read(slice(0, HEIGHT), slice(0, WIDTH))
    np.testing.assert_array_equal(made, picture())


def test_a_block_is_decoded_once_for_the_windows_that_lie_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = KINDS["deflate"](tmp_path, picture())
    decoded: list[int] = []
    with open_windows(path) as reader:
        page = reader._pixels._decode.__self__._page
        decode = page.decode

        def counting(data: bytes, number: int, **options: object) -> object:
            decoded.append(number)
            return decode(data, number, **options)

        monkeypatch.setattr(type(page), "decode", property(lambda page: counting))
        for column in range(20, 40, 5):
            reader.read(slice(17, 40), slice(column, column + 5))
        assert sorted(decoded) == [8 + 1, 8 + 2, 16 + 1, 16 + 2]


def test_what_was_never_written_is_black(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tiles = [None if number % 2 else np.full((32, 32, 3), 200, np.uint8) for number in range(12)]
    with tifffile.TiffWriter(path) as file:
        file.write(
            iter(tiles), shape=(HEIGHT, WIDTH, 3), dtype=np.uint8, tile=(32, 32), photometric="rgb"
        )
    with open_windows(path) as reader:
        made = reader.read(slice(0, 32), slice(0, 64))
    assert (made[:, :32] == 200).all()
    assert (made[:, 32:] == 0).all()


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ((0, 84), (0, 5)),
        ((-1, 4), (0, 5)),
        ((4, 4), (0, 5)),
        ((0, 4), (100, 121)),
        ((5, 4), (0, 1)),
    ],
)
def test_windows_that_cannot_be(
    rows: tuple[int, int], columns: tuple[int, int], tmp_path: Path
) -> None:
    with (
        open_windows(KINDS["npy"](tmp_path, picture())) as reader,
        pytest.raises(VideoInputError, match="expected a window within the 120x83 pixels"),
    ):
        reader.read(slice(*rows), slice(*columns))


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    for kind in ("tiles", "npy"):
        path = KINDS[kind](tmp_path, picture())
        with open_windows(path) as reader:
            reader.read(slice(0, 5), slice(0, 5))
            os.truncate(path, 2000)
            with pytest.raises(VideoInputError, match="changed while it was being read"):
                reader.read(slice(60, 83), slice(0, 5))


@pytest.mark.parametrize("kind", ["deflate", "lzw strips", "tiles"])
def test_a_tiff_that_is_cut_short(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind](tmp_path, picture())
    content = path.read_bytes()
    start = offsets_of(path)[-1]
    path.write_bytes(content[: start + 10])
    with pytest.raises(VideoInputError, match=r"a\.tif"), open_windows(path) as reader:
        reader.read(slice(0, HEIGHT), slice(0, WIDTH))


def test_a_broken_tile(tmp_path: Path) -> None:
    path = KINDS["deflate"](tmp_path, picture())
    content = bytearray(path.read_bytes())
    start = offsets_of(path)[3]
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    with (
        open_windows(path) as reader,
        pytest.raises(VideoInputError, match=r"cannot decode .* rows 0:16"),
    ):
        reader.read(slice(0, 16), slice(0, WIDTH))


def save_bytes(name: str, content: bytes) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return save


def save_group(folder: Path, pixels: Pixels) -> Path:
    zarr.create_group(str(folder / "g.zarr")).create_group("inner")
    return folder / "g.zarr"


def save_floats(folder: Path, pixels: Pixels) -> Path:
    np.save(folder / "a.npy", pixels.astype(np.float32))
    return folder / "a.npy"


def save_huge_strip(folder: Path, pixels: Pixels) -> Path:
    huge = np.broadcast_to(np.uint8(0), (10000, 10000, 3))
    tifffile.imwrite(folder / "a.tif", huge, compression="zlib", rowsperstrip=10000)
    return folder / "a.tif"


def save_palette(folder: Path, pixels: Pixels) -> Path:
    colors = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(folder / "a.tif", pixels[..., 0], photometric="palette", colormap=colors)
    return folder / "a.tif"


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (save_bytes("a.tif", b"II*\0"), "as TIFF"),
        (save_bytes("a.tif", b"II*\0" + bytes(range(200))), "as TIFF|expected a grey or RGB"),
        (
            save_bytes("a.png", b"\x89PNG\r\n\x1a\n"),
            "expected .tif, OME-Zarr, .*found another kind",
        ),
        (save_bytes("a.npy", b"\x93NUMPY\x01\0"), "cannot read"),
        (save_floats, "expected a picture of 8 or 16 bits"),
        (save_group, "found a group without multiscales that holds inner"),
        (save_palette, "found PALETTE of 1 samples"),
        (save_huge_strip, "found 10000x10000 pixels: save it in tiles"),
        (lambda folder, pixels: folder, "as Zarr"),
        (lambda folder, pixels: folder / "none.tif", "No such file"),
    ],
)
def test_what_is_no_such_picture(save: Save, said: str, tmp_path: Path) -> None:
    path = save(tmp_path, picture())
    with pytest.raises(VideoInputError, match=said) as caught:
        open_windows(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "library"), [("tiles", "tifffile"), ("zarr 3", "zarr")])
def test_a_missing_library_is_named(
    kind: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = KINDS[kind](tmp_path, picture())
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingLibraryError, match=rf"needs {library}: pip install 'taesd-stream\["):
        open_windows(path)
