"""Frames that are asked for by their numbers are those that reading everything gives."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from video import InputError, VideoReader, open_reader, open_writer
from video.key_frames import KeyFrames

COUNT = 61
SIZE = {"width": 80, "height": 64}  # x265 crashes where one process has smaller ones, too


def images(channels: int = 3) -> np.ndarray:
    random = np.random.default_rng(0)
    still = random.integers(0, 256, (64, 80, channels), np.uint8)
    return np.stack([np.roll(still, (number, 2 * number), (0, 1)) for number in range(COUNT)])


KINDS = {
    "h264.mp4": {"codec": "h264"},
    "h265.mkv": {"codec": "h265"},
    "vp9.webm": {"codec": "vp9"},
    "av1.mp4": {"codec": "av1"},
    "ffv1.mkv": {"codec": "ffv1"},
    "prores.mov": {"codec": "prores"},
    "alpha.webm": {"codec": "vp9", "alpha": True},
    "a.gif": {},
    "a.webp": {},
    "pictures": {},
    "one.npy": {},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, np.ndarray]]:
    """Each kind of file, and all of its frames as a reader gives them in one go."""
    folder, found = tmp_path_factory.mktemp("files"), {}
    for name, options in KINDS.items():
        path = folder / name
        if name.endswith(".npy"):
            np.save(path, images())
        else:
            frames = images(4 if options.get("alpha") else 3)
            with open_writer(path, rate=24, **SIZE, **options) as writer:
                for image in frames:
                    writer.write(image)
        with open_reader(path) as reader:
            found[name] = path, np.stack([frame.image for frame in reader])
    return found


@pytest.mark.parametrize("name", KINDS)
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_windows_in_any_order(
    name: str, files: dict[str, tuple[Path, np.ndarray]], data: st.DataObject
) -> None:
    path, whole = files[name]
    assert len(whole) == COUNT
    windows = st.builds(
        range, st.integers(0, COUNT + 3), st.integers(0, COUNT + 3), st.sampled_from([1, 1, 3])
    )
    with open_reader(path) as reader:
        for window in data.draw(st.lists(windows, min_size=1, max_size=4)):
            expected = [number for number in window if number < COUNT]
            found = list(reader.frames_of(window))
            assert [frame.index for frame in found] == expected
            assert all(np.array_equal(frame.image, whole[frame.index]) for frame in found)


def keyed_video(path: Path, parameters: str = "keyint=10:bframes=2:scenecut=0") -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"x264-params": parameters})
        stream.width, stream.height = SIZE["width"], SIZE["height"]
        stream.pix_fmt = "yuv420p"
        for image in images():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


def test_a_frame_far_ahead_is_reached_by_its_key_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp4"
    keyed_video(path)
    with KeyFrames(path, 0) as keys:
        found = [keys.before(number) for number in range(COUNT)]
        assert [key and key[0] for key in found] == [number // 10 * 10 for number in range(COUNT)]
        assert (keys.before(COUNT), keys.count()) == (None, COUNT)
    monkeypatch.setattr("video.decoded_frames._NEAR", 0)
    with VideoReader(path) as reader:
        whole = [frame.image for frame in reader]
    made: list[int] = []
    image_of = VideoReader._image

    def counted(self: VideoReader, frame: av.VideoFrame) -> np.ndarray:
        made.append(frame.pts)
        return image_of(self, frame)

    monkeypatch.setattr(VideoReader, "_image", counted)
    with VideoReader(path) as reader:
        made.clear()
        for start in (43, 12, 13, 40):
            found = list(reader.frames_of(range(start, start + 2)))
            assert [frame.index for frame in found] == [start, start + 1]
            assert all(np.array_equal(frame.image, whole[frame.index]) for frame in found)
            assert [frame.pts_seconds * 24 for frame in found] == [start, start + 1]
        assert len(made) == 8, "others are passed over without being converted"
        assert not reader.notes


@pytest.mark.parametrize(
    "parameters",
    ["keyint=10:open-gop=1:bframes=3:scenecut=0", "intra-refresh=1:keyint=10:bframes=0"],
)
def test_frames_before_a_key_frame_may_need_what_is_behind_it(
    tmp_path: Path, parameters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp4"
    keyed_video(path, parameters)
    monkeypatch.setattr("video.decoded_frames._NEAR", 0)
    with VideoReader(path) as reader:
        whole = [frame.image for frame in reader]
    with VideoReader(path) as reader:
        for start in (43, 12, 29, 57, 20):
            found = list(reader.frames_of(range(start, start + 4)))
            assert [frame.index for frame in found] == list(range(start, start + 4))
            assert all(np.array_equal(frame.image, whole[frame.index]) for frame in found)
        assert not reader.notes


def spliced(path: Path, parameters: str, suffix: str) -> Path:
    """A file that begins behind its first frames, as cutting without decoding leaves it, twice."""
    keyed_video(path.with_suffix(suffix), parameters)
    with av.open(str(path.with_suffix(suffix))) as source, av.open(str(path), "w") as goal:
        stream = goal.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        length = packets[-1].pts - packets[0].pts + 20 * packets[0].duration
        for turn in range(2):
            for packet in packets[13:]:
                copy = av.Packet(bytes(packet))
                copy.time_base, copy.stream = packet.time_base, stream
                copy.pts, copy.dts = packet.pts + turn * length, packet.dts + turn * length
                copy.duration, copy.is_keyframe = packet.duration, packet.is_keyframe
                goal.mux(copy)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("gop", ["open-gop=1", "open-gop=0"])
def test_files_that_were_cut_and_put_together(
    tmp_path: Path, gop: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"cut{suffix}"
    spliced(path, f"keyint=10:bframes=3:scenecut=0:{gop}", f".whole{suffix}")
    monkeypatch.setattr("video.decoded_frames._NEAR", 0)
    with VideoReader(path) as reader:
        whole = [frame.image for frame in reader]
    with VideoReader(path) as reader:
        assert reader.counted() == len(whole)
        for start in (30, 12, len(whole) - 3, 5):
            found = list(reader.frames_of(range(start, start + 4)))
            assert [frame.index for frame in found] == list(
                range(start, min(start + 4, len(whole)))
            )
            assert all(np.array_equal(frame.image, whole[frame.index]) for frame in found)


def test_no_more_of_a_file_is_gone_through_than_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    keyed_video(path)
    with KeyFrames(path, 0) as keys:
        assert keys.before(15) is not None
        assert keys._seen == 21
        keys.doubt()
        assert (keys.before(15), keys.count()) == (None, None)


def test_a_second_look_begins_where_the_first_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    keyed_video(path)
    with VideoReader(path) as reader:
        assert [frame.index for frame in reader.frames_of(range(2))] == [0, 1]
        assert [frame.index for frame in reader] == list(range(2, COUNT))


def test_what_is_cut_short_is_counted_as_far_as_it_goes(
    files: dict[str, tuple[Path, np.ndarray]], tmp_path: Path
) -> None:
    path = files["h265.mkv"][0]
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(path.read_bytes()[:-4000])
    with VideoReader(cut) as reader:
        expected = len(list(reader))
    with VideoReader(cut) as reader:
        assert reader.counted() == expected
    assert 0 < expected < COUNT


def test_pictures_of_other_sizes_are_refused_in_a_window_too(tmp_path: Path) -> None:
    for number, side in enumerate([32, 32, 48, 48]):
        with open_writer(tmp_path / f"{number}.png", width=side, height=side) as writer:
            writer.write(np.zeros((side, side, 3), np.uint8))
    with open_reader(tmp_path) as reader, pytest.raises(InputError, match=r"2\.png.* is 48x48"):
        list(reader.frames_of(range(2, 4)))
