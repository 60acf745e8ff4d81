from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import pytest

import video
from video import CODECS, InputError, VideoSpec, choose_codec
from video.codecs import GENERIC_HARDWARE


@pytest.mark.parametrize(
    ("suffix", "codec", "lossless", "expected"),
    [
        (".mp4", None, False, "h264"),
        (".MOV", None, False, "h264"),
        (".mkv", None, False, "h264"),
        (".webm", None, False, "vp9"),
        (".gif", None, False, "gif"),
        (".webp", None, False, "webp"),
        (".mp4", None, True, "h264"),
        (".mkv", None, True, "ffv1"),
        (".mp4", "hevc", False, "h265"),
        (".mp4", "H264_NVENC", False, "h264_nvenc"),
    ],
)
def test_the_suffix_and_the_name_choose(
    suffix: str, codec: str | None, lossless: bool, expected: str
) -> None:
    assert [row.name for row in choose_codec(suffix, codec, lossless=lossless)] == [expected]


def test_a_generic_name_stands_for_several() -> None:
    rows = choose_codec(".mp4", "h265_hw")
    assert len(rows) == len(GENERIC_HARDWARE["h265_hw"])
    assert all(row.software == "h265" for row in rows)


@pytest.mark.parametrize(
    ("suffix", "codec", "message"),
    [
        (".avi", None, r"\.mp4.*found '\.avi'"),
        ("", None, "found ''"),
        (".mp4", "h263", "h264.*found 'h263'"),
        (".webm", "h264", "codec 'h264' goes into .mp4, .mov, .mkv; found '.webm'"),
        (".mp4", "ffv1", "goes into .mkv"),
    ],
)
def test_what_does_not_go_together_is_refused(suffix: str, codec: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_codec(suffix, codec)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width from 1 to 16384 pixels for video; found 0"),
        ({"height": 20000}, "found 20000"),
        ({"width": 2.5}, "found 2.5"),
        ({"crf": 52}, "crf from 0 .best. to 51 for h264; found 52"),
        ({"crf": -1}, "found -1"),
        ({"crf": 3, "lossless": True}, "a lossless video has no quality"),
        ({"codec": CODECS["prores"], "crf": 3}, "codec 'prores' has no quality"),
        ({"codec": CODECS["av1"], "lossless": True}, "'av1' cannot be lossless.*h264.*ffv1"),
        ({"codec": CODECS["gif"], "rate": Fraction(101)}, "at most 100 frames"),
    ],
)
def test_a_spec_is_checked(changes: dict[str, object], message: str) -> None:
    good: dict[str, object] = {
        "width": 64,
        "height": 32,
        "rate": Fraction(24),
        "codec": CODECS["h264"],
    }
    with pytest.raises(InputError, match=message):
        VideoSpec(**(good | changes))  # type: ignore[arg-type]


def test_the_public_names_are_there_and_cheap() -> None:
    for name in video.__all__:
        assert getattr(video, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = video.nonsense
    code = "import video, sys; print([m for m in ('av','cv2','numpy','torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
