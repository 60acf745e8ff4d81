"""Pictures of daily life, whatever wrote them: the colours that Pillow, pyvips or tifffile see."""

from __future__ import annotations

import logging
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from taesd_stream.cli.main import main
from video import InputError, open_reader, read_image
from video.large.reading import open_regions

tifffile = pytest.importorskip("tifffile")


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """Smooth in parts, so that JPEG can hold it, and another wherever it is turned."""
    y, x = np.mgrid[0:24, 0:40]
    return np.stack((x * 6, y * 10, 200 - x * 4), axis=-1).astype(np.uint8)


def shown(path: Path) -> NDArray[np.uint8]:
    with open_reader(path) as reader:
        (frame,) = reader
    return frame.image


def differ(one: Any, other: Any) -> int:
    assert np.shape(one) == np.shape(other)
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max())


def exif(tag: int) -> Image.Exif:
    data = Image.Exif()
    data[0x0112] = tag
    return data


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_a_tiff_is_turned_however_it_is_read(
    tag: int, compression: str | None, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(picture).save(path, exif=exif(tag), compression=compression)
    with Image.open(path) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    with open_regions(path) as reader:
        rows, columns = slice(3, reader.height - 2), slice(1, reader.width - 4)
        part = reader.read(rows, columns)
    assert differ(part, expected[rows, columns]) == 0
    assert differ(shown(path), expected) == 0


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif"])
def test_a_photograph_is_turned(suffix: str, picture: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(picture).save(path, exif=exif(6), quality=95)
    with Image.open(path) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    assert differ(shown(path), expected) == 0


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("profile", ["p3", "srgb"])
def test_colours_of_another_profile_become_those_of_srgb(
    profile: str, suffix: str, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    pyvips = pytest.importorskip("pyvips")
    path = tmp_path / f"a{suffix}"
    icc = bytes(pyvips.Image.profile_load(profile))
    Image.fromarray(picture).save(path, icc_profile=icc, quality=95)
    decoded = pyvips.Image.new_from_file(str(path))
    expected = decoded.icc_transform("srgb", intent="relative", black_point_compensation=True)
    assert differ(shown(path), expected.numpy()) <= 2
    if profile == "p3":
        assert differ(shown(path), decoded.numpy()) > 10
    else:
        assert differ(shown(path), decoded.numpy()) <= (2 if suffix == ".jpg" else 0)
    if suffix == ".tif":
        with open_regions(path) as reader:
            part = reader.read(slice(2, 20), slice(0, 40))
        assert differ(part, expected.numpy()[2:20]) <= 2


def test_a_broken_profile_is_none(picture: NDArray[np.uint8], tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png", icc_profile=b"no profile")
    assert differ(shown(tmp_path / "a.png"), picture) == 0


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_is_printed_on_white(suffix: str, picture: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(picture).convert("CMYK").save(path, quality=95)
    assert differ(shown(path), picture) <= 12
    assert main(["encode", str(path), str(tmp_path / "z.npy"), "--model", "nano"]) == 0


@pytest.mark.parametrize("mode", ["1", "P", "L"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_few_bits_and_palettes(
    suffix: str, mode: str, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    stored = Image.fromarray(picture).convert(mode)
    stored.save(path)
    assert differ(shown(path), stored.convert("RGB")) == 0
    assert main(["encode", str(path), str(tmp_path / "z.npy"), "--model", "nano"]) == 0
    assert np.load(tmp_path / "z.npy").shape == (1, 4, 3, 5)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("mode", ["1", "P", "CMYK"])
def test_such_a_tiff_is_read_in_parts(
    mode: str, compression: str | None, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(picture).convert(mode).save(path, compression=compression, exif=exif(6))
    # From memory, for Pillow does not turn what it maps.
    with Image.open(BytesIO(path.read_bytes())) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    with open_regions(path) as reader:
        assert differ(reader.read(slice(5, 30), slice(2, 21)), expected[5:30, 2:21]) == 0


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_greys_of_few_bits(bits: int, photometric: str, tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 1 << bits, (12, 19), np.uint8)
    samples = levels.astype(bool) if bits == 1 else levels
    tifffile.imwrite(
        tmp_path / "a.tif", samples, photometric=photometric, bitspersample=bits, tile=(16, 16)
    )
    with Image.open(tmp_path / "a.tif") as stored:
        expected = np.asarray(stored.convert("RGB"))
    assert len(np.unique(expected)) == 1 << bits
    with open_regions(tmp_path / "a.tif") as reader:
        assert differ(reader.read(slice(0, 12), slice(0, 19)), expected) == 0


def test_white_may_be_zero(picture: NDArray[np.uint8], tmp_path: Path) -> None:
    grey = picture[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", 255 - grey, photometric="miniswhite")
    assert differ(shown(tmp_path / "a.tif"), np.dstack([grey] * 3)) == 0


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_rounded(channels: int, tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (12, 16, channels), np.uint16)
    if channels == 4:
        deep[..., 3] = 65535
    cv2.imwrite(
        str(tmp_path / "a.png"), deep[..., [2, 1, 0, 3][:channels]] if channels > 1 else deep
    )
    expected = np.round(deep[..., :3] / 257).astype(int)
    expected = np.repeat(expected, 3, axis=2) if channels == 1 else expected
    assert differ(shown(tmp_path / "a.png"), expected) == 0


def test_sixteen_bits_of_grey_with_alpha_are_rounded(tmp_path: Path) -> None:
    png = pytest.importorskip("png")
    deep = np.random.default_rng(0).integers(0, 65536, (12, 17, 2), np.uint16)
    with (tmp_path / "a.png").open("wb") as file:
        png.Writer(17, 12, greyscale=True, alpha=True, bitdepth=16).write(
            file, deep.reshape(12, -1).tolist()
        )
    expected = np.round(deep[..., [0, 0, 0, 1]] / 257)
    assert differ(read_image(tmp_path / "a.png", channels=4), expected) == 0


@pytest.mark.parametrize("tag", [1, 2, 6])
def test_sixteen_bits_of_a_tiff_are_rounded_and_turned(tag: int, tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (12, 16, 3), np.uint16)
    orientation = [(274, "H", 1, tag, True)]
    tifffile.imwrite(
        tmp_path / "a.tif", deep, photometric="rgb", extratags=orientation, compression="zlib"
    )
    turned = {1: deep, 2: deep[:, ::-1], 6: np.rot90(deep, -1)}[tag]
    assert differ(shown(tmp_path / "a.tif"), np.round(turned / 257)) == 0


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "1"])
def test_one_colour_may_be_transparent(
    mode: str, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    stored = Image.fromarray(picture).convert(mode)
    color: Any = stored.getpixel((0, 0))
    stored.save(tmp_path / "a.png", transparency=color)
    visible = np.asarray(stored) != np.asarray(color)
    visible = visible.any(axis=2) if mode == "RGB" else visible
    expected = np.where(visible[..., None], np.asarray(stored.convert("RGB")), 255)
    assert differ(shown(tmp_path / "a.png"), expected) == 0


def test_one_grey_of_sixteen_bits_may_be_transparent(tmp_path: Path) -> None:
    deep = np.arange(60000, 60000 + 12 * 16, dtype=np.uint16).reshape(12, 16)
    Image.fromarray(deep).save(tmp_path / "a.png", transparency=60007)
    expected = np.where(deep == 60007, 255, np.round(deep / 257))
    assert differ(shown(tmp_path / "a.png"), np.dstack([expected] * 3)) == 0


def test_sixteen_bits_of_a_pgm_are_rounded(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (12, 16), np.uint16)
    (tmp_path / "a.pgm").write_bytes(b"P5 16 12 65535\n" + deep.astype(">u2").tobytes())
    assert differ(shown(tmp_path / "a.pgm"), np.dstack([np.round(deep / 257)] * 3)) == 0


@pytest.mark.parametrize("suffix", [".ppm", ".tga", ".jp2", ".qoi", ".bmp"])
@pytest.mark.parametrize("name", ["a{}", "a.png"])
def test_other_kinds_are_told_by_their_content(
    name: str, suffix: str, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / name.format(suffix)
    made = tmp_path / f"made{suffix}"
    Image.fromarray(picture).save(made)
    made.rename(path)
    if suffix == ".tga" and path.suffix == ".png":  # it begins with nothing of its own
        with pytest.raises(InputError, match="no known format"):
            read_image(path)
        return
    assert differ(shown(path), picture) == 0


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(suffix, "RGB") for suffix in (".png", ".jpg", ".tif", ".webp", ".bmp", ".jp2", ".avif")]
    + [(".tif", "P"), (".tif", "CMYK"), (".jpg", "CMYK"), (".png", "P")],
)
def test_a_damaged_picture_is_one_line_of_ours(
    suffix: str, mode: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = tmp_path / f"a{suffix}"
    compression = "tiff_lzw" if suffix == ".tif" else None
    Image.fromarray(noise).convert(mode).save(path, compression=compression)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    assert main(["encode", str(path), str(tmp_path / "z.npy"), "--model", "nano"]) == 2
    printed = capfd.readouterr().err
    assert printed.startswith("taesd-video: ")
    assert printed.count("\n") == 1
    assert str(path) in printed


def test_a_damaged_png_is_no_libpng_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (64, 64, 3), np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), noise)
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20] = bytes(20)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match="is it complete"):
        read_image(tmp_path / "a.png")
    assert capfd.readouterr().err == ""


UNREAD = {
    "a.jxl": (b"\xff\x0a" + bytes(90), "JPEG XL"),
    "a.psd": (b"8BPS\0\1", "Photoshop"),
    "a.svg": (b'<?xml version="1.0"?><svg width="9"/>', "SVG"),
    "a.pdf": (b"%PDF-1.7\n", "PDF"),
    "a.cr2": (b"II*\0\x10\0\0\0CR\2\0", "raw"),
    "a.dng": (b"II*\0\x08\0\0\0", "raw"),
    "a.exr": (b"v/1\x01\2\0\0\0", "OpenEXR"),
    "a.hdr": (b"#?RADIANCE\n", "Radiance"),
    "a.zip": (b"PK\3\4", "zip"),
    "a.png": (b"<!DOCTYPE html><html>", "web page"),
    "a.jpg": (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs"),
    "a.tif": (b"PK\3\4", "zip"),
    "a.mp4": (b"", "empty"),
    "a.txt": ("Grüße\n".encode(), "text"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_is_not_read_is_called_by_its_name(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, word = UNREAD[name]
    (tmp_path / name).write_bytes(content)
    assert main(["encode", str(tmp_path / name), str(tmp_path / "z.npy"), "--model", "nano"]) == 2
    printed = capsys.readouterr().err
    assert word in printed
    assert "complete" not in printed
    assert printed.count("\n") == 1


def test_the_pages_that_are_not_read_are_counted(
    picture: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Image.fromarray(picture)
    first.save(tmp_path / "a.tif", save_all=True, append_images=[first, first])
    words = ["encode", str(tmp_path / "a.tif"), str(tmp_path / "z.npy"), "--model", "nano"]
    assert main(words) == 0
    assert "a.tif: the first of its 3 pages is taken" in capsys.readouterr().err
    palette = first.quantize(16)
    palette.save(tmp_path / "a.tif", save_all=True, append_images=[palette])
    assert main([*words, "--overwrite"]) == 0
    assert "a.tif: the first of its 2 pages is taken" in capsys.readouterr().err
    level = first.resize((20, 12))
    first.save(tmp_path / "a.tif", save_all=True, append_images=[level])
    assert main([*words, "--overwrite"]) == 0
    assert "page" not in capsys.readouterr().err, "it is a pyramid"


def test_a_folder_holds_other_things_too(
    picture: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("1.png", "2.JPG"):
        Image.fromarray(picture).save(folder / name)
    others = {
        "Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "desktop.ini": b"[.ShellClassInfo]\r\n",
        ".DS_Store": b"\0\0\0\1Bud1",
        "._1.png": b"\0\5\26\7",
        "notes.txt": b"these are mine",
    }
    for name, content in others.items():
        (folder / name).write_bytes(content)
    words = ["encode", str(folder), str(tmp_path / "z.npy"), "--model", "nano", "--overwrite"]
    assert main(words) == 0
    assert "left out" not in capsys.readouterr().err
    assert len(np.load(tmp_path / "z.npy")) == 2
    (folder / "3.jxl").write_bytes(UNREAD["a.jxl"][0])
    (folder / "4").write_bytes((folder / "1.png").read_bytes())
    assert main(words) == 0
    assert "photos: left out, by its name: 3.jxl, a JPEG XL picture and 1 more" in (
        capsys.readouterr().err
    )
    for name in ("1.png", "2.JPG", "4"):
        (folder / name).unlink()
    assert main(words) == 2
    assert "found a JPEG XL picture, which is not read: save it as .png" in capsys.readouterr().err


def test_what_follows_the_first_is_said_of_a_folder_too(
    picture: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    first, other = Image.fromarray(picture), Image.fromarray(picture[::-1].copy())
    for name, count in (
        ("1.png", 1),
        ("2.png", 3),
        ("3.webp", 2),
        ("4.tif", 2),
        ("5.webp", 1),
        ("6.avif", 2),
    ):
        others = [other, first][: count - 1]
        several = {"save_all": True, "append_images": others} if others else {}
        first.save(folder / name, lossless=True, quality=100, subsampling="4:4:4", **several)
    first.save(folder / "7.gif", save_all=True, append_images=[other])
    words = ["encode", str(folder), str(tmp_path / "z.npy"), "--model", "nano"]
    assert main(words) == 0
    printed = capsys.readouterr().err
    assert "2.png: the first of its 3 frames is taken (so with 2 more); give it alone" in printed
    assert "4.tif: the first of its 2 pages is taken; `tiffsplit 4.tif" in printed
    assert "photos: left out, by its name: 7.gif, a GIF: give it alone" in printed
    latents = np.load(tmp_path / "z.npy")
    assert len(latents) == 6
    assert np.array_equal(latents[:5], np.repeat(latents[:1], 5, axis=0))
    assert np.abs(latents[5] - latents[0]).max() < 0.3 < np.ptp(latents[0])


def test_pictures_of_two_sizes_are_one_error(
    picture: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(picture).save(folder / "1.png")
    Image.fromarray(picture[:16]).save(folder / "2.png")
    assert main(["encode", str(folder), str(tmp_path / "z.npy"), "--model", "nano"]) == 2
    printed = capsys.readouterr().err
    assert "2.png' is 40x16; expected 40x24 like those before it: make them one size" in printed
    assert printed.count("taesd-video: ") == 1
    assert not (tmp_path / "z.npy").exists()


def test_what_pillow_logs_is_not_printed(
    picture: NDArray[np.uint8],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture, photometric="cielab")
    data = bytearray(path.read_bytes())
    samples = data.index((277).to_bytes(2, "little") + b"\3\0")
    data[samples + 8 : samples + 10] = (12803).to_bytes(2, "little")
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_image(path)
    assert capfd.readouterr().err == ""
