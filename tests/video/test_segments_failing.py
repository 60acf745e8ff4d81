"""What is left of a video in segments where a disk is full or a process is killed."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.video.segmented import frames, names, segmented, write
from tests.video.writing import run_python
from video import (
    OutputError,
)

NOISE = """
    import os, resource, signal, sys
    from fractions import Fraction
    from pathlib import Path
    import numpy as np
    from video import OutputError, SegmentedWriter, Segments, VideoOptions
    path = Path(sys.argv[1])
    rng = np.random.default_rng(0)
    images = [np.full((128, 128, 3), 9 * number, np.uint8) for number in range(16)]
    images += [rng.integers(0, 256, (128, 128, 3), np.uint8) for _ in range(16)]
    folder = path.with_name("segments")
    folder.mkdir(exist_ok=True)
    first = int(sys.argv[2])
    writer = SegmentedWriter(
        path, Segments(folder, 8, first, lambda frames: print(frames, flush=True)),
        width=128, height=128, options=VideoOptions(Fraction(24)),
    )
"""


FULL = """
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
    try:
        with writer:
            for image in images:
                writer.write(image)
    except OutputError as error:
        print(error)
"""


KILLED = """
    with writer:
        for number, image in enumerate(images):
            if number == 21:
                os.kill(os.getpid(), signal.SIGKILL)
            writer.write(image)
"""


REST = """
    with writer:
        for image in images[8 * first :]:
            writer.write(image)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE on Windows")
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_full_disk_is_named_and_leaves_the_segments(tmp_path: Path, name: str) -> None:
    done = run_python(NOISE + FULL, str(tmp_path / name), "0")
    assert done.returncode == 0, done.stderr.decode()
    *told, message = done.stdout.decode().splitlines()
    assert told == ["8", "16"]
    third = tmp_path / "segments" / f"00002{Path(name).suffix}"
    assert message.startswith(f"cannot write '{third}': no room")
    assert names(tmp_path) == ["segments"]
    assert names(third.parent) == [f"0000{number}{third.suffix}" for number in range(2)]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
def test_a_process_that_is_killed_leaves_the_segments(tmp_path: Path) -> None:
    (tmp_path / "once").mkdir()
    assert run_python(NOISE + REST, str(tmp_path / "once" / "a.mp4"), "0").returncode == 0
    killed = run_python(NOISE + KILLED, str(tmp_path / "a.mp4"), "0")
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, b"8\n16\n")
    assert names(tmp_path / "segments") == ["00000.mp4", "00001.mp4", "00002.part.mp4"]
    done = run_python(NOISE + REST, str(tmp_path / "a.mp4"), "2")
    assert done.stdout == b"24\n32\n", done.stderr.decode()
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "once" / "a.mp4").read_bytes()


def test_a_failure_while_joining_leaves_the_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def full(*args: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr("video.joining.SegmentJoin._copy", full)
        with pytest.raises(OutputError, match=r"^cannot write '.*/a\.mp4': no room"):
            write(tmp_path / "a.mp4", frames())
    assert names(tmp_path) == ["segments"]
    assert write(tmp_path / "a.mp4", frames(), first_segment=4) == [34]


def test_a_segment_that_failed_is_not_left_out_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("video.segments.sync_file", fail)
    writer = segmented(tmp_path / "a.mp4", tmp_path, (64, 48), segment_frames=2)
    first, second = frames(64, 48, 2)
    writer.write(first)
    with pytest.raises(OutputError, match="Input/output error"):
        writer.write(second)
    with pytest.raises(OutputError, match="0 of 2 frames are in segments"):
        writer.__exit__(None, None, None)
