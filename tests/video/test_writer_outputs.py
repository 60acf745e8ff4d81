"""Where a video is written to, and what is left of it where that fails."""

from __future__ import annotations

import io
import signal
import sys
import threading
from pathlib import Path
from typing import BinaryIO, cast

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.video.writing import NTSC, fail, fill, names, open_mp4, pictures, run_python
from video import (
    InputError,
    OutputError,
    OutputExistsError,
    VideoReader,
    VideoWriter,
)
from video.encoding import StreamEncoder


def test_an_interrupt_keeps_a_playable_part(tmp_path: Path) -> None:
    writer = open_mp4(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fill(writer, pictures(3), fail(KeyboardInterrupt))
    part = tmp_path / "a.part.mp4"
    assert names(tmp_path) == [part.name]
    assert writer.kept_part == part
    assert f"kept: '{part}' (3 frames)" in writer.notes
    with VideoReader(part) as reader:
        assert len(list(reader)) == 3
    fill(open_mp4(tmp_path), pictures(1))
    assert names(tmp_path) == ["a.mp4", "a.part.mp4"], "what was kept once is not lost"


def test_an_interrupt_in_the_middle_of_a_write_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = StreamEncoder.encode

    def interrupted(self: StreamEncoder, image: NDArray[np.uint8], index: int) -> object:
        packets = encode(self, image, index)
        if index == 2:
            signal.raise_signal(signal.SIGINT)
        return packets

    monkeypatch.setattr(StreamEncoder, "encode", interrupted)
    writer = VideoWriter(tmp_path / "a.mkv", width=64, height=48, rate=24, codec="ffv1")
    with pytest.raises(KeyboardInterrupt):
        fill(writer, pictures(5))
    assert writer.frames_written == 3
    with VideoReader(tmp_path / "a.part.mkv") as reader:
        for sent, got in zip(pictures(3), reader, strict=True):
            np.testing.assert_array_equal(got.image, sent)


def test_an_interrupt_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fill(open_mp4(tmp_path), [], fail(KeyboardInterrupt))
    assert names(tmp_path) == []


@pytest.mark.parametrize("frames", [0, 3])
def test_any_other_failure_leaves_nothing(tmp_path: Path, frames: int) -> None:
    writer = open_mp4(tmp_path)
    with pytest.raises(ZeroDivisionError):
        fill(writer, pictures(frames), fail(ZeroDivisionError))
    assert names(tmp_path) == []
    assert writer.kept_part is None


def test_no_frames_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one frame"):
        fill(open_mp4(tmp_path), [])
    assert names(tmp_path) == []


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match=r"a\.mp4' exists already"):
        VideoWriter(path, width=64, height=48, rate=24)
    assert path.read_text() == "precious"
    assert names(tmp_path) == ["a.mp4"]
    with VideoWriter(path, width=64, height=48, rate=24, overwrite=True) as writer:
        writer.write(pictures(1)[0])
        assert path.read_text() == "precious", "replaced before the new one was whole"
    with VideoReader(path) as reader:
        assert len(list(reader)) == 1


def test_a_file_that_appears_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    writer = open_mp4(tmp_path)
    with pytest.raises(OutputExistsError, match=r"appeared.*the new one is '.*a\.part\.mp4'"):
        fill(writer, pictures(1), lambda: path.write_text("precious"))
    assert path.read_text() == "precious"
    assert writer.kept_part == tmp_path / "a.part.mp4"
    with VideoReader(writer.kept_part) as reader:
        assert len(list(reader)) == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing/a.mp4", r"no folder '.*missing'; create it first"),
        ("folder.mp4", "is a folder"),
        ("a.xyz", r"found '\.xyz'"),
        ("x" * 300 + ".mp4", "File name too long"),
        ("file/a.mp4", "no folder"),
    ],
)
def test_places_that_cannot_be_written(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=message):
        VideoWriter(tmp_path / path, width=64, height=48, rate=24)


def test_names_that_look_like_protocols_are_files(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "concat:12%d.mp4", width=64, height=48, rate=24) as writer:
        writer.write(pictures(1)[0])
    with VideoReader(tmp_path / "concat:12%d.mp4") as reader:
        assert len(list(reader)) == 1


def test_a_frame_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"\(48, 64, 3\).*uint8.*\(64, 48, 3\).*uint8"),
        VideoWriter(tmp_path / "a.mp4", width=64, height=48, rate=24) as writer,
    ):
        writer.write(np.zeros((64, 48, 3), np.uint8))
    with pytest.raises(InputError, match="is closed"):
        writer.write(pictures(1)[0])


def test_threads_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 1 thread; found 0"):
        VideoWriter(tmp_path / "a.mp4", width=64, height=48, rate=24, threads=0)


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE on Windows")
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.gif", "a.webp"])
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    code = """
        import resource, signal, sys
        import numpy as np
        from video import OutputError, VideoWriter
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
        rng = np.random.default_rng(0)
        try:
            with VideoWriter(sys.argv[1], width=128, height=128, rate=24) as writer:
                for _ in range(60):
                    writer.write(rng.integers(0, 256, (128, 128, 3), np.uint8))
        except OutputError as error:
            print(error)
    """
    done = run_python(code, str(tmp_path / name))
    assert done.returncode == 0, done.stderr.decode()
    message = done.stdout.decode()
    assert f"cannot write '{tmp_path / name}': no room" in message
    assert message.count("\n") == 1
    assert names(tmp_path) == []


def test_standard_output_carries_matroska(tmp_path: Path) -> None:
    code = """
        import numpy as np
        from video import VideoWriter
        with VideoWriter("-", width=64, height=48, rate="24000/1001") as writer:
            for level in (10, 120, 240):
                writer.write(np.full((48, 64, 3), level, np.uint8))
    """
    done = run_python(code)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    (tmp_path / "a.mkv").write_bytes(done.stdout)
    with VideoReader(tmp_path / "a.mkv") as reader:
        assert reader.rate == NTSC
        levels = [round(float(frame.image.mean())) for frame in reader]
    assert np.abs(np.array(levels) - (10, 120, 240)).max() <= 1


def test_av1_prints_nothing(tmp_path: Path) -> None:
    code = """
        import sys
        import numpy as np
        from video import VideoWriter
        with VideoWriter(sys.argv[1], width=64, height=64, rate=24, codec="av1") as writer:
            writer.write(np.zeros((64, 64, 3), np.uint8))
    """
    done = run_python(code, str(tmp_path / "a.mp4"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_binary_file_object_stays_open() -> None:
    stream = io.BytesIO()
    with VideoWriter(stream, width=64, height=48, rate=24, codec="ffv1") as writer:
        for frame in pictures(2):
            writer.write(frame)
    assert not stream.closed
    with av.open(io.BytesIO(stream.getvalue())) as container:
        assert len(list(container.decode(video=0))) == 2


def test_a_reader_that_goes_away_is_an_error_at_once() -> None:
    class Closed(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    writer = VideoWriter(cast("BinaryIO", Closed()), width=64, height=48, rate=24, codec="ffv1")
    with pytest.raises(OutputError, match="Broken pipe"):
        fill(writer, pictures(200, 64, 48))
    assert writer.frames_written < 50


def test_other_threads_write_too(tmp_path: Path) -> None:
    def work(name: str) -> None:
        writer = VideoWriter(tmp_path / name, width=64, height=48, rate=24, threads=1)
        fill(writer, pictures(4))

    threads = [threading.Thread(target=work, args=(f"{index}.mp4",)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert names(tmp_path) == ["0.mp4", "1.mp4", "2.mp4"]
