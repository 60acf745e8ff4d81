"""Colours wider than sRGB's, by a profile or by numbers, in stills, animations and videos."""

from __future__ import annotations

import gc
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from video import open_reader, read_image
from video.primaries import profile_of_primaries

# BT.2087, table 2, inverted, and the like for Display P3 (CSS Color 4): linear light to BT.709's.
TO_BT709 = {
    9: [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    12: [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]],
}


_Y, _X = np.mgrid[0:64, 0:96]
STORED = np.stack((90 + _X, 110 + _Y, 190 - _X), axis=-1).astype(np.uint8)


def check(shown: NDArray[np.uint8], primaries: int, most_off: float = 1.5) -> None:
    """Compare a picture with ``STORED`` of these primaries in sRGB, computed in linear light."""
    values = STORED / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    mapped = np.clip(linear @ np.array(TO_BT709.get(primaries, np.eye(3))).T, 0, 1)
    coded = np.where(mapped <= 0.0031308, mapped * 12.92, 1.055 * mapped ** (1 / 2.4) - 0.055)
    assert np.abs(shown - coded * 255).mean() < most_off
    assert np.abs(STORED - coded * 255).mean() > 3 or primaries == 1


@pytest.mark.parametrize("suffix", [".png", ".heic", ".avif"])
@pytest.mark.parametrize("primaries", [9, 12, 1])
def test_colours_named_by_a_number_become_those_of_srgb(
    primaries: int, suffix: str, tmp_path: Path
) -> None:
    write_named(tmp_path / f"a{suffix}", STORED, primaries)
    check(read_image(tmp_path / f"a{suffix}"), primaries)


def write_named(path: Path, pixels: NDArray[np.uint8], primaries: int, **options: object) -> None:
    """Write a still that names its primaries, sRGB's curve and BT.601's matrix."""
    if path.suffix == ".avif":
        Image.fromarray(pixels).save(path, quality=100, subsampling="4:4:4", **options)
        data = path.read_bytes()
        before, after = data.split(b"colrnclx")
        path.write_bytes(before + b"colrnclx" + struct.pack(">H", primaries) + after[2:])
        return
    if path.suffix == ".png":
        Image.fromarray(pixels).save(path, **options)
        put_numbers(path, primaries, 13)
        return
    pillow_heif = pytest.importorskip("pillow_heif")
    picture = pillow_heif.from_pillow(Image.fromarray(pixels))
    picture.save(
        path,
        format="HEIF",
        quality=100,
        chroma=444,
        save_nclx_profile=True,
        color_primaries=primaries,
        transfer_characteristics=13,
        matrix_coefficients=6,
    )


def test_a_profile_goes_before_a_number(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = np.full((64, 64, 3), (200, 60, 30), np.uint8)
    write_named(tmp_path / "a.avif", pixels, 12, icc_profile=srgb)
    assert np.abs(read_image(tmp_path / "a.avif").astype(int) - pixels).max() <= 3


def put_numbers(path: Path, primaries: int, transfer: int) -> None:
    """Put a cICP chunk behind the header of a PNG (PNG, third edition, 11.3.2.6)."""
    chunk = b"cICP" + bytes([primaries, transfer, 0, 1])
    data, end = path.read_bytes(), struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(data[:33] + struct.pack(">I", 4) + chunk + end + data[33:])


def test_numbers_of_a_png_go_before_its_profile(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    write_named(tmp_path / "a.png", STORED, 12, icc_profile=srgb)
    check(read_image(tmp_path / "a.png"), 12)


def test_high_dynamic_range_of_an_animation_is_said(tmp_path: Path) -> None:
    """AVIF says it of its first picture and of the track, and nobody maps it."""
    path, image = tmp_path / "a.avif", Image.fromarray(STORED)
    others = [Image.fromarray(255 - STORED)]
    image.save(path, save_all=True, append_images=others, quality=100, subsampling="4:4:4")
    before, first, track = path.read_bytes().split(b"colrnclx")
    pq = b"colrnclx" + struct.pack(">HH", 9, 16)
    path.write_bytes(before + pq + first[4:] + pq + track[4:])
    with open_reader(path) as reader:
        found = [frame.image for frame in reader]
        assert ["HDR (PQ)" in note for note in reader.notes] == [True]
    assert np.abs(found[0].astype(int) - STORED).mean() < 2


def test_high_dynamic_range_of_a_png_is_said(tmp_path: Path) -> None:
    Image.fromarray(STORED).save(tmp_path / "a.png")
    put_numbers(tmp_path / "a.png", 9, 16)
    with open_reader(tmp_path / "a.png") as reader:
        (frame,) = reader
        assert "HDR (PQ)" in reader.notes[0]
    assert np.array_equal(frame.image, STORED)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif"])
@pytest.mark.parametrize("alpha", [None, 255])
def test_a_profile_of_an_animation_is_followed(
    suffix: str, alpha: int | None, tmp_path: Path
) -> None:
    pixels = STORED if alpha is None else np.dstack((STORED, np.full((64, 96), alpha, np.uint8)))
    options = {".webp": {"lossless": True}, ".avif": {"quality": 100, "subsampling": "4:4:4"}}
    first = Image.fromarray(pixels)
    first.save(
        tmp_path / f"a{suffix}",
        save_all=True,
        append_images=[Image.fromarray(pixels[::-1].copy())],
        duration=40,
        icc_profile=profile_of_primaries(12),
        **options.get(suffix, {}),
    )
    with open_reader(tmp_path / f"a{suffix}") as reader:
        found = [frame.image for frame in reader]
        assert reader.rate == Fraction(25)
    gc.collect()  # PyAV frees the profile's name twice where it has shown it
    assert len(found) == 2
    check(found[0], 12)
    check(found[1][::-1], 12)


@pytest.mark.parametrize(("primaries", "name"), [(9, "BT.2020"), (12, "Display P3"), (1, "")])
@pytest.mark.parametrize("write", [".mp4", ".mov", ".mkv"])
def test_a_video_of_wide_colours_is_mapped_and_said(
    write: str, primaries: int, name: str, tmp_path: Path
) -> None:
    path, matrix = tmp_path / f"a{write}", 9 if primaries == 9 else 1
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *STORED.shape[:2], "yuv444p"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = matrix, primaries, 1
        context.color_range = 1
        frame = av.VideoFrame.from_ndarray(STORED, "rgb24").reformat(
            format="yuv444p", dst_colorspace=matrix, src_color_range=2, dst_color_range=1
        )
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    with open_reader(path) as reader:
        (frame,) = reader
        check(frame.image, primaries, most_off=2)
        assert [name in note for note in reader.notes] == [True] * bool(name)
