"""Animations of every kind, all frames of them, put together as the formats say."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from video import VideoReader, open_reader
from video.transparency import Transparency


def made(alpha: int, count: int = 4) -> list[Image.Image]:
    """Frames with an opaque part that jumps, one that is half transparent, and nothing else."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(count):
        image = np.zeros((20, 30, 4), np.uint8)
        y, x = rng.integers(0, 14), rng.integers(0, 20)
        image[y : y + 6, x : x + 9] = (*rng.integers(0, 256, 3), 255)
        image[1:4, 1:4] = (9, 200, 30, alpha)
        frames.append(Image.fromarray(image))
    return frames


def read(path: Path) -> list[NDArray[np.uint8]]:
    with open_reader(path, transparency=Transparency(is_kept=True)) as reader:
        assert isinstance(reader, VideoReader)
        return [frame.image for frame in reader]


def check(found: list[NDArray[np.uint8]], expected: list[Any], off: int = 0) -> None:
    """Compare what can be seen."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        seen = (one[..., 3] > 0) | (np.asarray(other)[..., 3] > 0)
        assert np.abs(one.astype(int) - other)[seen].max() <= off


@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_gif(disposal: int, tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    first, *others = made(alpha=255)
    first.save(path, save_all=True, append_images=others, duration=70, disposal=disposal)
    with Image.open(path) as image:
        expected = [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]
    check(read(path), expected)


@pytest.mark.parametrize("name", ["a.png", "a.apng"])
@pytest.mark.parametrize("blend", [0, 1])
@pytest.mark.parametrize("disposal", [0, 1, 2])
def test_apng(disposal: int, blend: int, name: str, tmp_path: Path) -> None:
    first, *others = made(alpha=128)
    options: dict[str, Any] = {"disposal": disposal, "blend": blend, "duration": 40}
    with (tmp_path / name).open("wb") as file:
        first.save(file, "PNG", save_all=True, append_images=others, **options)
    check(read(tmp_path / name), composed((tmp_path / name).read_bytes()), off=1)
    with open_reader(tmp_path / name) as reader:
        assert reader.rate == Fraction(25)


def test_a_picture_beside_an_apng_is_no_frame(tmp_path: Path) -> None:
    first, *others = made(alpha=128)
    path = tmp_path / "a.png"
    first.save(path, save_all=True, append_images=others, duration=40, default_image=True)
    expected = composed(path.read_bytes())
    assert len(expected) == len(others)
    check(read(path), expected, off=1)


@pytest.mark.parametrize("suffix", [".avif", ".webp"])
def test_avif_and_webp(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    first, *others = made(alpha=128)
    options = {"quality": 100} if suffix == ".avif" else {"lossless": True}
    first.save(path, save_all=True, append_images=others, duration=50, **options)
    with Image.open(path) as image:
        expected = [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]
    check(read(path), expected)
    with open_reader(path) as reader:
        assert (reader.frame_count, reader.rate) == (4, Fraction(20))


@pytest.mark.parametrize(
    ("suffix", "durations", "rate"),
    [
        (".gif", [30, 30, 40, 30, 30, 40], Fraction(30)),
        (".gif", [30, 30, 40, 30, 30], Fraction(30)),
        (".gif", [30, 30, 30, 30], Fraction(100, 3)),
        (".png", [40, 40], Fraction(25)),
        (".png", [40, 80, 40, 200, 40], Fraction(25, 2)),
        (".webp", [83, 84, 83], Fraction(12)),
        (".avif", [33, 34, 33, 33], Fraction(30)),
    ],
)
def test_the_rate_is_that_of_all_frames(
    suffix: str, durations: list[int], rate: Fraction, tmp_path: Path
) -> None:
    """Times are rounded in the file, which is no variable rate."""
    path = tmp_path / f"a{suffix}"
    first, *others = made(alpha=255, count=len(durations))
    first.save(path, save_all=True, append_images=others, duration=durations)
    with open_reader(path, transparency=Transparency(is_kept=True)) as reader:
        assert len(list(reader)) == len(durations)
        assert reader.rate == rate
        assert any("variable rate" in note for note in reader.notes) == (max(durations) > 100)


def test_stills_are_no_animations(tmp_path: Path) -> None:
    for suffix in (".png", ".avif", ".webp"):
        Image.new("RGB", (16, 16)).save(tmp_path / f"a{suffix}")
        with open_reader(tmp_path / f"a{suffix}") as reader:
            assert not isinstance(reader, VideoReader)


def composed(data: bytes) -> list[NDArray[np.float64]]:
    """The frames of an APNG by the words of the PNG specification (third edition, 11.3.4)."""
    header, frames = data[16:29], _animation_chunks(data)
    width, height = struct.unpack(">II", header[:8])
    canvas = np.zeros((height, width, 4))
    shown = []
    for index, (control, packed) in enumerate(frames):
        wide, high, x, y = struct.unpack(">IIII", control[4:20])
        disposal, is_blended = control[24], control[25] == 1
        still = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", control[4:12] + header[8:])
        still += _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")
        image = np.asarray(Image.open(BytesIO(still)).convert("RGBA")).astype(float)
        before, area = canvas.copy(), canvas[y : y + high, x : x + wide]
        area[:] = _over(image, area) if is_blended else image
        shown.append(canvas.round())
        if disposal == 1 or (disposal == 2 and index == 0):
            area[:] = 0
        elif disposal == 2:
            canvas = before
    return shown


def _over(image: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    alpha, under = image[..., 3:] / 255, below[..., 3:] / 255 * (1 - image[..., 3:] / 255)
    colors = image[..., :3] * alpha + below[..., :3] * under
    total = alpha + under
    return np.concatenate((colors / np.maximum(total, 1e-9), 255 * total), axis=2)


def _animation_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    frames: list[tuple[bytes, bytes]] = []
    place = 8
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        content = data[place + 8 : place + 8 + length]
        place += 12 + length
        if kind == b"fcTL":
            frames.append((content, b""))
        elif kind in (b"IDAT", b"fdAT") and frames:
            control, packed = frames[-1]
            frames[-1] = (control, packed + content[4 if kind == b"fdAT" else 0 :])
    return frames


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
