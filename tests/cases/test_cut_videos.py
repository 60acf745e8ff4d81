"""Videos that end before their end: what is whole is read, and it is said."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from taesd_stream.cli.main import main
from video import InputError, VideoReader

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}


def made(path: Path, options: dict[str, str], codec: str = "libx264") -> list[NDArray[np.uint8]]:
    """A video of noise that moves, without frames that depend on later ones; and its frames."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.options = {"g": "4", "bf": "0"}
        for index in range(12):
            image = np.roll(noise, 2 * index, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    with VideoReader(path) as reader:
        return [frame.image for frame in reader]


def places(data: bytes, kind: bytes) -> list[int]:
    return [at - 4 for at in range(4, len(data)) if data.startswith(kind, at)]


@pytest.mark.parametrize(
    "where", ["in header", "in moof", "behind moof", "in mdat", "late in mdat"]
)
def test_fragments_are_read_as_far_as_they_go(where: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    frames = made(path, FRAGMENTS)
    data = path.read_bytes()
    moof, mdat = places(data, b"moof")[1], places(data, b"mdat")[1]
    end = len(data) if len(places(data, b"moof")) < 3 else places(data, b"moof")[2]
    cut = {
        "in header": moof + 5,
        "in moof": moof + 40,
        "behind moof": mdat,
        "in mdat": mdat + 60,
        "late in mdat": end - 9,
    }
    path.write_bytes(data[: cut[where]])
    with VideoReader(path) as reader:
        found = [frame.image for frame in reader]
        assert reader.frame_count is None
        assert any("cut short" in note for note in reader.notes)
    assert len(found) in ((5, 6, 7) if where == "late in mdat" else (4,))
    for one, other in zip(found, frames, strict=False):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        (".mkv", "libx264", {}),
        (".mov", "libx264", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
        (".webm", "libvpx-vp9", {}),
        (".avi", "mpeg4", {}),
        (".mp4", "libx264", {"movflags": "faststart"}),
    ],
)
def test_other_kinds_say_it_too(
    suffix: str, codec: str, options: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    frames = made(path, options, codec)
    data = path.read_bytes()
    with VideoReader(path) as reader:
        list(reader)
        assert reader.notes == ()
    path.write_bytes(data[: len(data) * 3 // 4])
    with VideoReader(path) as reader:
        found = [frame.image for frame in reader]
        assert any("cut short" in note for note in reader.notes)
    assert 1 <= len(found) < len(frames)
    if suffix != ".avi":  # of which a part of a frame is left out
        found.pop()
    for one, other in zip(found, frames, strict=False):
        np.testing.assert_array_equal(one, other)


def test_a_damaged_frame_is_counted(tmp_path: Path) -> None:
    """A transport stream has no length, and its last frame is what there is of it."""
    path = tmp_path / "a.ts"
    made(path, {})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 // 188 * 188])
    with VideoReader(path) as reader:
        list(reader)
        assert any("frames that are damaged in it: 1" in note for note in reader.notes)


def test_a_recording_without_its_index_is_called_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.mp4"
    made(path, {})
    data = path.read_bytes()
    path.write_bytes(data[: places(data, b"moov")[0]])
    assert main(["encode", str(path), str(tmp_path / "z.npy"), "--model", "nano"]) == 2
    printed = capsys.readouterr().err
    assert "no index of its frames (moov)" in printed
    assert printed.count("\n") == 1


def test_a_cut_before_the_first_frame_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    made(path, FRAGMENTS)
    data = path.read_bytes()
    path.write_bytes(data[: places(data, b"mdat")[0] + 20])
    with pytest.raises(InputError, match="cut short before its first frame ends"):
        VideoReader(path)


def test_the_command_reads_what_is_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.mp4"
    made(path, FRAGMENTS)
    data = path.read_bytes()
    path.write_bytes(data[: places(data, b"mdat")[1] + 60])
    words = ["encode", str(path), str(tmp_path / "z.npy"), "--model", "nano"]
    assert main(words) == 0
    assert np.load(tmp_path / "z.npy").shape == (4, 4, 4, 6)
    assert "a.mp4: the file is cut short" in capfd.readouterr().err
