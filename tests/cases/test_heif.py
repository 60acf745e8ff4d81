"""HEIC and AVIF: grids of tiles whole, turned as they are to be shown, transparency over white."""

from __future__ import annotations

import contextlib
import importlib.util
import struct
import sys
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from PIL import Image

import taesd_stream as ts
from taesd_stream.cli.main import main
from video import open_reader, read_image
from video.pillow_opening import opened_by_pillow


@pytest.fixture(scope="module")
def heic_grid(shared: Path) -> ModuleType:
    """What makes a grid as phones store it, with libx265 and boxes written by hand."""
    pytest.importorskip("pillow_heif")
    path = shared / "cases" / "heic_grid.py"
    if not path.exists():
        pytest.skip(f"no {path}: this test makes a HEIC grid with it")
    spec = importlib.util.spec_from_file_location("heic_grid", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(heic_grid: ModuleType, path: Path, *sizes: int) -> Path:
    """A grid; libx265 makes tiles of these sizes on most tries."""
    for _ in range(9):
        with contextlib.suppress(av.FFmpegError):
            heic_grid.main(str(path), *sizes)
            return path
    pytest.skip("libx265 makes no tiles of this size")


@pytest.mark.parametrize(
    ("width", "height", "side"), [(400, 300, 256), (256, 500, 256), (200, 130, 256)], ids=str
)
def test_a_grid_is_read_whole(
    width: int, height: int, side: int, heic_grid: ModuleType, tmp_path: Path
) -> None:
    made(heic_grid, tmp_path / "a.heic", width, height, side)
    expected = np.load(tmp_path / "a.npy")
    image = read_image(tmp_path / "a.heic")
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 3


def test_a_grid_is_encoded_whole(heic_grid: ModuleType, tmp_path: Path) -> None:
    made(heic_grid, tmp_path / "a.heic", 400, 300, 256)
    named_otherwise = (tmp_path / "a.heic").rename(tmp_path / "a.jpg")
    words = ["encode", str(named_otherwise), str(tmp_path / "z.npy"), "--model", "nano"]
    assert main([*words, "--backend", "torch"]) == 0
    assert np.load(tmp_path / "z.npy").shape == (1, 4, 38, 50)


def test_without_its_library_the_extra_is_named(
    heic_grid: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(heic_grid, tmp_path / "a.heic", 200, 130, 256)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("video.heif.find_spec", lambda name: None)
    with pytest.raises(ts.MissingExtraError, match=r"pip install 'taesd-stream\[heic\]'"):
        read_image(tmp_path / "a.heic")


@pytest.mark.parametrize("tag", [1, 3, 6, 2])
def test_avif_is_shown_upright(tag: int, tmp_path: Path) -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    image[:16, :24] = (220, 30, 30)
    image[16:, 24:] = (30, 220, 30)
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(image).save(tmp_path / "a.avif", quality=95, exif=exif)
    turns = {1: image, 3: np.rot90(image, 2), 6: np.rot90(image, -1), 2: np.fliplr(image)}
    with open_reader(tmp_path / "a.avif") as reader:
        shown = next(iter(reader)).image
    assert shown.shape == turns[tag].shape
    assert np.abs(shown.astype(int) - turns[tag]).mean() < 6


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif", ".tif"])
def test_what_is_transparent_shows_white(suffix: str, tmp_path: Path) -> None:
    image = np.zeros((16, 24, 4), np.uint8)
    image[..., 0] = 200
    image[:, :8, 3] = 255
    image[:, 8:16, 3] = 128
    options = {".webp": {"lossless": True}, ".avif": {"quality": 100}}.get(suffix, {})
    Image.fromarray(image).save(tmp_path / f"a{suffix}", **options)
    white = Image.new("RGBA", (24, 16), "white")
    white.alpha_composite(Image.fromarray(image))
    expected = np.asarray(white.convert("RGB")).astype(int)
    with open_reader(tmp_path / f"a{suffix}") as reader:
        shown = next(iter(reader)).image
    assert np.abs(shown - expected).max() <= (12 if suffix == ".avif" else 1)


@pytest.mark.parametrize("tag", range(1, 9))
def test_a_transparent_picture_is_turned_too(tag: int, tmp_path: Path) -> None:
    from PIL import ImageOps

    image = np.random.default_rng(0).integers(0, 256, (16, 24, 4), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as stored:
        upright = ImageOps.exif_transpose(stored)
    white = Image.new("RGBA", upright.size, "white")
    white.alpha_composite(upright)
    expected = np.asarray(white.convert("RGB")).astype(int)
    shown = read_image(tmp_path / "a.png")
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).max() <= 1


@pytest.mark.parametrize("length", [0, 20, 100, 2000])
@pytest.mark.parametrize("kind", ["heic", "avif"])
def test_a_part_of_a_file_is_refused(
    kind: str, length: int, heic_grid: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "heic":
        made(heic_grid, path, 200, 130, 256)
    else:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ts.InputError):
        read_image(path)


def test_hidden_files_are_no_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    (tmp_path / "._1.png").write_bytes(b"\0\5\26\7")
    with open_reader(tmp_path) as reader:
        assert reader.frame_count == 1


def test_a_picture_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    opening = opened_by_pillow

    def counting(data: bytes, kind: str) -> object:
        calls.append(kind)
        return opening(data, kind)

    monkeypatch.setattr("video.pillow_reading.opened_by_pillow", counting)
    for suffix in (".png", ".jpg", ".webp", ".bmp"):
        Image.new("RGB", (8, 6), (200, 30, 30)).save(tmp_path / f"a{suffix}")
        calls.clear()
        assert read_image(tmp_path / f"a{suffix}").shape == (6, 8, 3)
        assert len(calls) == 1, suffix


def test_the_fourth_byte_of_an_opaque_bitmap_is_no_transparency(tmp_path: Path) -> None:
    """A BMP of 32 bits without masks, in which it means nothing and is 0."""
    pixels = bytes((30, 60, 200, 0)) * 6
    info = struct.pack("<IiiHHIIiiII", 40, 3, 2, 1, 32, 0, len(pixels), 0, 0, 0, 0)
    head = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    (tmp_path / "a.bmp").write_bytes(head + info + pixels)
    assert np.array_equal(read_image(tmp_path / "a.bmp"), np.full((2, 3, 3), (200, 60, 30)))


def test_four_channels_of_avif_come_back_as_stored(tmp_path: Path) -> None:
    Image.new("RGBA", (16, 16), (200, 30, 30, 128)).save(tmp_path / "a.avif", quality=100)
    image = read_image(tmp_path / "a.avif", channels=4)
    assert np.abs(image.astype(int) - (200, 30, 30, 128)).max() <= 6


@pytest.mark.parametrize(("transfer", "word"), [(16, "HDR (PQ)"), (18, "HDR (HLG)"), (13, "")])
def test_high_dynamic_range_of_a_still_is_said(transfer: int, word: str, tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    picture = pillow_heif.from_pillow(Image.new("RGB", (64, 64), (200, 30, 30)))
    colors = {"color_primaries": 9, "transfer_characteristics": transfer, "matrix_coefficients": 9}
    picture.save(tmp_path / "a.hif", format="HEIF", save_nclx_profile=True, **colors)
    with open_reader(tmp_path / "a.hif") as reader:
        list(reader)
        assert any(word in note for note in reader.notes) if word else reader.notes == ()


def test_colours_of_display_p3_become_those_of_srgb(tmp_path: Path) -> None:
    """What telephones write."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pyvips = pytest.importorskip("pyvips")
    y, x = np.mgrid[0:64, 0:96]
    image = np.stack((x * 2, y * 3, 200 - x), axis=-1).astype(np.uint8)
    stored = pyvips.Image.new_from_array(image).copy(interpretation="srgb")
    icc = bytes(pyvips.Image.profile_load("p3"))
    stored.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    expected = stored.icc_transform("srgb", intent="relative").numpy().astype(int)
    pillow_heif.register_heif_opener()
    Image.fromarray(image).save(tmp_path / "a.heic", quality=100, chroma=444, icc_profile=icc)
    shown = read_image(tmp_path / "a.heic")
    assert np.abs(shown - expected).mean() < 2
    assert np.abs(image.astype(int) - expected).mean() > 6


def test_a_grid_of_another_brand_is_refused(heic_grid: ModuleType, tmp_path: Path) -> None:
    """FFmpeg would show its first tile."""
    path = made(heic_grid, tmp_path / "a.heic", 200, 130, 256)
    path.write_bytes(path.read_bytes().replace(b"ftypheic", b"ftypmif2"))
    with pytest.raises(ts.InputError, match="found a still in HEIF's format"):
        open_reader(path)
