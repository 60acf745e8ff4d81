"""Videos of a variable rate, of pixels that are not square, and of high dynamic range."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import video.frame_colors
from taesd_stream.cli.main import main
from taesd_stream.latents import open_latents
from video import open_reader

TO_BT2020 = np.array(  # ITU-R BT.2087
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)
NITS = {"white": (203, 203, 203), "dark": (10, 10, 10), "red": (100, 0, 0), "green": (0, 100, 0)}


def write_times(path: Path, times: Sequence[int], aspect: Fraction | None = None) -> None:
    """Frames shown at so many hundredths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 100)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), time % 256, np.uint8), "rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = time, Fraction(1, 100)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def encode(path: Path, out: Path) -> None:
    assert main(["encode", str(path), str(out), "--model", "nano", "--backend", "torch"]) == 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_variable_rate_is_said_and_the_average_is_kept(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_times(tmp_path / f"v{suffix}", (0, 4, 8, 20, 24, 40))
    encode(tmp_path / f"v{suffix}", tmp_path / "v.safetensors")
    assert "follow each other at a variable rate" in capsys.readouterr().err
    with open_latents(tmp_path / "v.safetensors") as source:
        assert source.metadata.frames_per_second is not None
    write_times(tmp_path / f"c{suffix}", range(0, 40, 4))
    encode(tmp_path / f"c{suffix}", tmp_path / "c.safetensors")
    assert "variable rate" not in capsys.readouterr().err


def test_frames_that_have_no_time_follow_at_the_rate(tmp_path: Path) -> None:
    """An MPEG programme stream tells the time of a packet here and there."""
    path = tmp_path / "a.mpg"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.max_b_frames = 2
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8), "rgb24")
            frame.pts = number
            for packet in stream.encode(frame.reformat(format="yuv420p")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    with open_reader(path) as reader:
        times = [frame.pts_seconds for frame in reader]
        assert reader.notes == ()
    assert len(times) == 40
    assert {after - before for before, after in pairwise(times)} == {Fraction(1, 25)}


def test_pixels_that_are_not_square_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_times(tmp_path / "v.mp4", range(0, 20, 4), Fraction(4, 3))
    encode(tmp_path / "v.mp4", tmp_path / "v.safetensors")
    assert "its pixels are not square, but 4:3" in capsys.readouterr().err


def write_coded(path: Path, codec: str, tags: Sequence[int], **options: str) -> None:
    """Frames that do not say what the encoder is told of their colours."""
    pixels = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = tags
        for number in range(2):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
            frame = frame.reformat(format=pixels)
            frame.pts = number
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


@pytest.mark.parametrize(
    ("codec", "tags", "said"),
    [
        ("prores_ks", (9, 9, 18), "it is HDR (HLG)"),
        ("prores_ks", (1, 12, 1), "those of Display P3"),
        ("libx264", (1, 1, 1), "interlaced"),
        ("libx264", (1, 1, 1), ""),
    ],
)
def test_what_only_the_container_or_only_the_frames_say(
    codec: str,
    tags: Sequence[int],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Its preparation takes seconds, and has a test of its own.
    monkeypatch.setattr(video.frame_colors.ToneMap, "of", lambda like: None)
    options = {"x264-params": "interlaced=1:tff=1"} if said == "interlaced" else {}
    write_coded(tmp_path / "a.mov", codec, tags, **options)
    with open_reader(tmp_path / "a.mov") as reader:
        assert len(list(reader)) == 2
        assert [said in note for note in reader.notes] == [True] * bool(said)


def test_of_several_videos_the_first_is_taken_and_that_is_said(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        streams = [container.add_stream("ffv1", rate=25) for _ in range(2)]
        for size, stream in zip((32, 64), streams, strict=True):
            stream.width, stream.height, stream.pix_fmt = size, size, "bgra"
        for size, stream in zip((32, 64), streams, strict=True):
            for number in range(2):
                frame = av.VideoFrame.from_ndarray(np.full((size, size, 4), size, np.uint8), "bgra")
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    with open_reader(tmp_path / "a.mkv") as reader:
        assert {frame.image.shape for frame in reader} == {(32, 32, 3)}
        assert reader.notes[-1] == "a.mkv: the first of its 2 videos is taken"


def _pq(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084."""
    y = (nits / 10_000) ** 0.1593017578125
    result: NDArray[np.float64] = ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
    return result


def write_pq(path: Path, colors: Sequence[tuple[int, int, int]]) -> None:
    """A frame of each colour, given as light of BT.709's primaries, as HDR10 has it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"x265-params": "lossless=1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = 9, 9, 16
        context.color_range = 1
        for number, color in enumerate(colors):
            red, green, blue = _pq(TO_BT2020 @ np.array(color, float))
            luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
            levels = (
                64 + 876 * luma,
                512 + 896 * (blue - luma) / 1.8814,
                512 + 896 * (red - luma) / 1.4746,
            )
            frame = av.VideoFrame(64, 64, "yuv420p10le")
            for plane, level in zip(frame.planes, levels, strict=True):
                np.frombuffer(memoryview(plane), np.uint16)[:] = round(level)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def test_high_dynamic_range_is_mapped_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "hdr.mp4"
    write_pq(path, list(NITS.values()))
    with open_reader(path) as reader:
        seen = [frame.image[32, 32].astype(int) for frame in reader]
        (note,) = reader.notes
    if "cannot map" in note:
        pytest.skip("FFmpeg before 8 does not map tones")
    found = dict(zip(NITS, seen, strict=True))
    for name in ("white", "dark"):
        assert np.ptp(found[name]) <= 2, "greys stay grey"
    assert 140 <= found["white"][0] <= 235
    # BT.709's curve of 10 nits where white is 203 is 61.
    assert 45 <= found["dark"][0] <= 75
    for name, main_color in (("red", 0), ("green", 1)):
        others = np.delete(found[name], main_color)
        assert found[name][main_color] > 2 * others.max(), "as they are in BT.709, not paler"
    assert "HDR (PQ); tones and colours are mapped to BT.709" in note

    monkeypatch.setattr(video.frame_colors.ToneMap, "of", lambda like: None)
    encode(path, tmp_path / "z.npy")
    assert "this FFmpeg cannot map its tones" in capsys.readouterr().err
