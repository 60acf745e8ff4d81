from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, cast

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from video import (
    InputError,
    OutputError,
    OutputExistsError,
    VideoReader,
    VideoWriter,
)
from video.encoding import StreamEncoder

NTSC = Fraction(24000, 1001)
TICKS = {".mp4": None, ".mov": None, ".mkv": 1000, ".webm": 1000, ".webp": 1000, ".gif": 100}

VARIANTS = [
    ("a.mp4", "h264", False),
    ("a.mov", "h264", False),
    ("a.mkv", "h264", False),
    ("a.mp4", "h265", False),
    ("a.mkv", "h265", False),
    ("a.webm", "vp9", False),
    ("a.mkv", "vp9", False),
    ("a.mp4", "av1", False),
    ("a.webm", "av1", False),
    ("a.mov", "prores", False),
    ("a.mkv", "ffv1", False),
    ("a.gif", "gif", False),
    ("a.webp", "webp", False),
    ("a.mp4", "h264", True),
    ("a.mkv", "h264", True),
    ("a.mp4", "h265", True),
    ("a.webm", "vp9", True),
    ("a.mkv", "ffv1", True),
    ("a.webp", "webp", True),
]


def pictures(count: int, width: int = 64, height: int = 48) -> list[NDArray[np.uint8]]:
    """Frames that differ: noise with a bar that moves."""
    rng = np.random.default_rng(3)
    frames = [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]
    for index, frame in enumerate(frames):
        frame[:, 4 * index : 4 * index + 4] = (255, 0, 0)
    return frames


def fill(
    writer: VideoWriter,
    frames: list[NDArray[np.uint8]],
    then: Callable[[], object] = lambda: None,
) -> None:
    """Write ``frames`` and do ``then``, all inside the writer's block."""
    with writer:
        for frame in frames:
            writer.write(frame)
        then()


def fail(error: type[BaseException]) -> Callable[[], object]:
    def run() -> object:
        raise error

    return run


def open_mp4(folder: Path) -> VideoWriter:
    return VideoWriter(folder / "a.mp4", width=64, height=48, rate=24)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize(("name", "codec", "lossless"), VARIANTS)
def test_every_frame_once_and_on_time(
    tmp_path: Path, name: str, codec: str, lossless: bool
) -> None:
    path = tmp_path / name
    frames = pictures(7)
    with VideoWriter(
        path, width=64, height=48, rate=NTSC, codec=codec, lossless=lossless
    ) as writer:
        for frame in frames:
            assert not path.exists()
            writer.write(frame)
        assert writer.part_path is not None
        assert writer.part_path.name == f"a.part{path.suffix}"
    assert names(tmp_path) == [name]
    assert writer.frames_written == 7
    assert (writer.part_path, writer.kept_part) == (None, None)
    with VideoReader(path) as reader:
        found = list(reader)
    assert [frame.index for frame in found] == list(range(7))
    ticks = TICKS[path.suffix]
    for index, frame in enumerate(found):
        exact = index / NTSC
        expected = exact if ticks is None else Fraction(round(exact * ticks), ticks)
        assert frame.pts_seconds == expected
    if lossless or codec == "ffv1":
        for sent, got in zip(frames, found, strict=True):
            np.testing.assert_array_equal(got.image, sent)


@pytest.mark.parametrize("rate", [NTSC, Fraction(25, 2), Fraction(60), Fraction(30000, 1001)])
def test_rate_and_count_are_in_the_file(tmp_path: Path, rate: Fraction) -> None:
    with VideoWriter(tmp_path / "a.mp4", width=32, height=32, rate=rate) as writer:
        for frame in pictures(5, 32, 32):
            writer.write(frame)
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert reader.rate == rate
        assert reader.frame_count == 5
        assert reader.duration_seconds == 5 / rate
        assert [frame.pts_seconds for frame in reader] == [index / rate for index in range(5)]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "h264"),
        ("a.mkv", "h264"),
        ("a.mp4", "h265"),
        ("a.webm", "vp9"),
        ("a.mp4", "av1"),
        ("a.mov", "prores"),
    ],
)
def test_colour_tags_are_in_the_file(tmp_path: Path, name: str, codec: str) -> None:
    with VideoWriter(tmp_path / name, width=32, height=32, rate=24, codec=codec) as writer:
        writer.write(pictures(1, 32, 32)[0])
    with av.open(str(tmp_path / name)) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc)
        if codec == "prores":
            assert b"colrnclc\0\1\0\1\0\1" in (tmp_path / name).read_bytes()
        else:
            assert tags == (1, 1, 1)
        # ProRes is limited by definition; FFmpeg 8.0 leaves it at that, 8.1 says so.
        assert context.color_range == 1 or (codec == "prores" and context.color_range == 0)
        frame = next(container.decode(video=0))
        assert frame.colorspace == 1


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_the_index_comes_before_the_pictures(tmp_path: Path, name: str) -> None:
    with VideoWriter(tmp_path / name, width=32, height=32, rate=24) as writer:
        writer.write(pictures(1, 32, 32)[0])
    data = (tmp_path / name).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("codec", ["h265", "hevc"])
def test_hevc_is_tagged_for_apple_players(tmp_path: Path, codec: str) -> None:
    with VideoWriter(tmp_path / "a.mp4", width=32, height=32, rate=24, codec=codec) as writer:
        writer.write(pictures(1, 32, 32)[0])
    assert b"hvc1" in (tmp_path / "a.mp4").read_bytes()


@pytest.mark.parametrize("count", [1, 2])
def test_hevc_of_one_or_two_frames_has_times_that_can_be(tmp_path: Path, count: int) -> None:
    """x265 reads its decoding times from memory never set here, so it takes some tries to see."""
    for attempt in range(8):
        path = tmp_path / f"{attempt}.mp4"
        fill(VideoWriter(path, width=64, height=48, rate=24, codec="h265"), pictures(count))
        with VideoReader(path) as reader:
            assert [frame.pts_seconds for frame in reader] == [Fraction(0), Fraction(1, 24)][:count]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc is asked to look at its heap")
def test_hevc_of_any_width_leaves_memory_alone(tmp_path: Path) -> None:
    """x265 writes past its buffers at these widths on processors with AVX2."""
    code = """
        import sys
        import numpy as np
        from video import open_writer

        for width in (36, 40, 46, 48):
            path = f"{sys.argv[1]}/{width}.mp4"
            with open_writer(path, width=width, height=40, codec="h265") as writer:
                for level in (0, 90, 180):
                    writer.write(np.full((40, width, 3), level, np.uint8))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    heap = {"MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "7"}
    assert subprocess.run(command, env=os.environ | heap, check=False).returncode == 0


@pytest.mark.parametrize("size", [(33, 17), (33, 18), (34, 17), (1, 1)])
@pytest.mark.parametrize(
    ("name", "codec", "padded"),
    [
        ("a.mp4", "h264", True),
        ("a.mkv", "h264", True),
        ("a.webm", "vp9", False),
        ("a.mp4", "av1", False),
        ("a.mov", "prores", True),
        ("a.gif", "gif", False),
        ("a.webp", "webp", False),
    ],
)
def test_odd_sizes_come_back_true(
    tmp_path: Path, name: str, codec: str, padded: bool, size: tuple[int, int]
) -> None:
    width, height = size
    if codec == "av1" and size == (1, 1):
        pytest.skip("the encoder refuses pictures this small")
    image = np.full((height, width, 3), 90, np.uint8)
    with VideoWriter(tmp_path / name, width=width, height=height, rate=24, codec=codec) as writer:
        writer.write(image)
        assert writer.size == size
        even = (width + width % 2, height + height % 2)
        assert writer.coded_size == (even if padded else size)
        assert bool(writer.notes) == padded
        if padded:
            assert f"{width}x{height} was padded to {even[0]}x{even[1]}" in writer.notes[0]
    with VideoReader(tmp_path / name) as reader:
        assert (reader.width, reader.height) == size
        frame = next(iter(reader))
        assert frame.image.shape == (height, width, 3)
        assert np.abs(frame.image.astype(int) - 90).max() <= 3
    if padded:
        with av.open(str(tmp_path / name)) as container:
            kept = {key.lower(): value for key, value in container.metadata.items()}
            assert kept["comment"] == f"true size {width}x{height}"


def test_hardware_that_is_missing_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        VideoWriter(tmp_path / "a.mp4", width=64, height=64, rate=24, codec="h264_videotoolbox")
    message = str(caught.value)
    assert "no encoder opens here for 64x64" in message
    assert "h264_videotoolbox (not in this build of FFmpeg)" in message
    assert message.endswith("use codec 'h264' instead")
    assert names(tmp_path) == []


@pytest.mark.parametrize("codec", ["h264_hw", "h265_hw", "av1_hw", "hevc_nvenc"])
def test_hardware_encodes_or_says_what_was_tried(tmp_path: Path, codec: str) -> None:
    refusal = ""
    try:
        writer = VideoWriter(tmp_path / "a.mp4", width=256, height=256, rate=24, codec=codec)
    except InputError as error:
        refusal = str(error)
    if refusal:
        assert "tried " in refusal
        assert "\n" not in refusal
        assert names(tmp_path) == []
        return
    with writer:
        writer.write(np.full((256, 256, 3), 90, np.uint8))
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert np.abs(next(iter(reader)).image.astype(int) - 90).mean() < 2


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


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        timeout=60,
        check=False,
    )


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
