"""Colours of videos stay in their columns: where chroma lies is known when it is read and written.

FFmpeg's own codecs are used without our conversion on one side of each test.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from video import VideoWriter, open_reader

WIDTH, HEIGHT, PERIOD = 64, 32, 16
WAVE = 60 * np.sin(2 * np.pi * np.arange(WIDTH) / PERIOD)


def shift(row: NDArray[np.float64], columns_each: int = 1) -> float:
    """By how many columns to the right of where ``WAVE`` has it a row of samples has the wave."""
    at = WIDTH // PERIOD
    turned = np.fft.rfft(row)[at] / np.fft.rfft(WAVE[::columns_each])[at]
    return float(-np.angle(turned) / (2 * np.pi) * PERIOD)


def write_left(path: Path, codec: str, pixel_format: str, location: str | None) -> None:
    """Planes whose red chroma is that of the left one of two columns, as 4:2:2 has it."""
    deep = "10" in pixel_format
    unit, dtype = (4, np.uint16) if deep else (1, np.uint8)
    with av.open(str(path), "w") as container:
        options = {} if location is None else {"chroma_sample_location": location}
        stream = container.add_stream(codec, rate=24, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        frame = av.VideoFrame(WIDTH, HEIGHT, pixel_format)
        for number, plane in enumerate(frame.planes):
            samples = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
            samples[:] = 128 * unit
            if number == 2:
                samples[:, : WIDTH // 2] = np.round((128 + WAVE[::2]) * unit)
        frame.pts, frame.time_base = 0, Fraction(1, 24)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def red_over_green(path: Path) -> NDArray[np.float64]:
    with open_reader(path) as reader:
        image = next(iter(reader)).image.astype(float)
    row: NDArray[np.float64] = (image[..., 0] - image[..., 1]).mean(0)
    return row


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "location"),
    [
        ("a.mov", "prores_ks", "yuv422p10le", None),
        ("a.mkv", "prores_ks", "yuv422p10le", None),
        ("a.mkv", "prores_ks", "yuv422p10le", "left"),
        ("a.avi", "ffv1", "yuv422p", None),
        ("a.avi", "ffv1", "yuv420p", None),
        ("a.mkv", "ffv1", "yuv422p", "left"),
        ("a.mp4", "mpeg4", "yuv420p", None),
    ],
)
def test_chroma_is_read_where_it_lies(
    tmp_path: Path, name: str, codec: str, pixel_format: str, location: str | None
) -> None:
    write_left(tmp_path / name, codec, pixel_format, location)
    assert shift(red_over_green(tmp_path / name)) == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [("a.mkv", "ffv1", "yuv422p"), ("a.mov", "mjpeg", "yuvj422p")],
)
def test_chroma_between_two_columns_is_read_there(
    tmp_path: Path, name: str, codec: str, pixel_format: str
) -> None:
    """JPEG has it there, and Matroska can say so."""
    write_left(tmp_path / name, codec, pixel_format, "center")
    assert shift(red_over_green(tmp_path / name)) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mov", "prores"), ("a.mkv", "prores"), ("a.mp4", "h264"), ("a.webm", "vp9")],
)
def test_chroma_is_written_over_the_left_column_and_comes_back(
    tmp_path: Path, name: str, codec: str
) -> None:
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image[..., 0] = np.round(128 + WAVE)
    path = tmp_path / name
    with VideoWriter(path, width=WIDTH, height=HEIGHT, rate=24, codec=codec) as writer:
        writer.write(image)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    plane = frame.planes[2]
    dtype = np.uint16 if "10" in frame.format.name else np.uint8
    samples = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
    row = samples[:, : plane.width].mean(0)
    assert shift(row - row.mean(), 2) == pytest.approx(0, abs=0.15)
    assert shift(red_over_green(path)) == pytest.approx(0, abs=0.15)
