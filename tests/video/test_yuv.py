"""Planes that come converted: which ones a writer takes, and what it does with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from video import InputError, VideoReader, VideoWriter, YuvFormat, YuvFrame
from video.spec import BT709


def flat(layout: YuvFormat, levels: tuple[int, ...]) -> YuvFrame:
    planes = zip(layout.shapes, levels, strict=True)
    return YuvFrame(tuple(np.full(shape, level, np.uint8) for shape, level in planes))


@pytest.mark.parametrize(
    ("name", "size", "coded"), [("a.mp4", (33, 17), (34, 18)), ("a.webm", (33, 17), (33, 17))]
)
def test_planes_are_shown_as_they_were_meant(
    tmp_path: Path, name: str, size: tuple[int, int], coded: tuple[int, int]
) -> None:
    width, height = size
    with VideoWriter(tmp_path / name, width=width, height=height, rate=24, crf=1) as writer:
        assert writer.yuv_format == YuvFormat("yuv420p", *coded, BT709)
        for luma in (50, 120, 200):
            writer.write_yuv(flat(writer.yuv_format, (luma, 110, 150)))
        assert writer.frames_written == 3
    frames = [frame.image for frame in VideoReader(tmp_path / name)]
    for luma, image in zip((50, 120, 200), frames, strict=True):
        value = (luma - 16) / 219
        red = 255 * (value + 2 * (1 - 0.2126) * (150 - 128) / 224)
        blue = 255 * (value + 2 * (1 - 0.0722) * (110 - 128) / 224)
        assert np.abs(image[..., 0].astype(float) - red).max() <= 3
        assert np.abs(image[..., 2].astype(float) - blue).max() <= 3


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.gif", {}), ("a.webp", {}), ("a.mov", {"codec": "prores"}), ("a.mp4", {"lossless": True})],
)
def test_others_take_no_planes(tmp_path: Path, name: str, options: dict) -> None:
    frame = flat(YuvFormat("yuv420p", width=32, height=16), (50, 128, 128))
    writer = VideoWriter(tmp_path / name, width=32, height=16, rate=24, **options)
    assert writer.yuv_format is None
    with pytest.raises(InputError, match="found YUV planes"), writer:
        writer.write_yuv(frame)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "planes",
    [
        (),
        (np.zeros((16, 32), np.uint8),),
        tuple(np.zeros(shape, np.uint8) for shape in ((16, 32), (8, 32))),
        tuple(np.zeros(shape, np.uint16) for shape in ((16, 32), (8, 16), (8, 16))),
    ],
    ids=["none", "grey", "nv12", "uint16"],
)
def test_planes_that_do_not_fit_are_refused(tmp_path: Path, planes: tuple) -> None:
    with (
        pytest.raises(InputError, match=r"yuv420p planes of shapes \(\(16, 32\).*found"),
        VideoWriter(tmp_path / "a.mp4", width=32, height=16, rate=24) as writer,
    ):
        writer.write_yuv(YuvFrame(planes))
