"""Damaged files end in our own errors: see ``fuzzing``, which runs many more by hand."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

import taesd_stream as ts
from tests.cases import fuzzed_kinds, fuzzed_media, fuzzing
from video import InputError


def test_damaged_files_do_no_harm(tmp_path: Path) -> None:
    assert fuzzed_kinds
    assert fuzzed_media
    kinds = fuzzing.quick_kinds()
    report = fuzzing.fuzz(kinds, range(12 * len(kinds)), seed=14, folder=tmp_path)
    assert not report.faults, str(report)
    # What is left of an MP3 is one: each frame says what it is.
    assert {kind for kind in kinds if not report.refused[kind]} <= {"sound mp3"}


def test_an_array_of_a_size_that_nothing_can_have_is_refused(tmp_path: Path) -> None:
    path = fuzzing.KINDS["zarr 3"].make(tmp_path)
    metadata = json.loads(path.read_text())
    metadata["shape"][0] = 2**64
    path.write_text(json.dumps(metadata))
    with pytest.raises(ts.LatentsError, match="claims to be of shape"):
        ts.open_latents(path.parent)


def test_names_in_an_archive_cannot_write_on_a_terminal(tmp_path: Path) -> None:
    path, name = tmp_path / "a.pt", "\x1b[2Jgone" + "a" * 5000
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"")
    with pytest.raises(ts.LatentsError, match="a zip file of") as caught:
        ts.open_latents(path)
    line = str(caught.value).removeprefix(str(path))
    assert line.isprintable()
    assert len(line) < fuzzing.MOST_LETTERS


@pytest.mark.parametrize(
    ("kind", "true", "other", "said"),
    [
        ("mp4 h264", b"avc1\0\0\0\0", b"zzzz\0\0\0\0", r"cannot decode the video .* codec is none"),
        ("ivf", b"VP80", b"zzzz", r"cannot decode the video .* codec is none"),
        (
            "sound wav",
            b"fmt \x10\0\0\0\1\0",
            b"fmt \x10\0\0\0zz",
            r"cannot decode the sound .* codec is none",
        ),
    ],
)
def test_a_codec_that_nobody_knows_is_refused(
    kind: str, true: bytes, other: bytes, said: str, tmp_path: Path
) -> None:
    path = fuzzing.KINDS[kind].make(tmp_path)
    path.write_bytes(path.read_bytes().replace(true, other))
    with pytest.raises(InputError, match=said):
        fuzzing.KINDS[kind].open(path)


@pytest.mark.parametrize("rate", [1, 536_918_912])
def test_sound_of_a_rate_that_nothing_has_is_refused(rate: int, tmp_path: Path) -> None:
    path = fuzzing.KINDS["sound wav"].make(tmp_path)
    true = (48_000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(true, rate.to_bytes(4, "little"), 1))
    with pytest.raises(InputError, match=f"found 1 channels of {rate}; is it complete"):
        fuzzing.KINDS["sound wav"].open(path)


def test_sound_without_a_rate_is_refused(tmp_path: Path) -> None:
    path = fuzzing.KINDS["sound flac"].make(tmp_path)
    data = bytearray(path.read_bytes())
    data[18:21] = bytes(3)  # 20 bits of a rate, and 3 of channels
    path.write_bytes(data[: data.index(b"\xff\xf8")])  # its frames would say them, too
    with pytest.raises(InputError, match="channels of 0; is it complete"):
        fuzzing.KINDS["sound flac"].open(path)
