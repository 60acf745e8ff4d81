"""Frames that are asked for by their numbers are those that reading everything gives."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from video import VideoReader, open_reader, open_writer
from video.decoded_frames import FrameIndex

COUNT = 61
SIZE = {"width": 48, "height": 32}


def images(channels: int = 3) -> np.ndarray:
    random = np.random.default_rng(0)
    still = random.integers(0, 256, (32, 48, channels), np.uint8)
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
    index = FrameIndex.of(path, 0)
    assert index is not None
    assert len(index.times) == COUNT
    assert index.keys == tuple(range(0, COUNT, 10))
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


def test_what_does_not_tell_its_frames_has_no_index(
    files: dict[str, tuple[Path, np.ndarray]], tmp_path: Path
) -> None:
    path = files["h264.mp4"][0]
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(path.read_bytes()[:-400])
    assert FrameIndex.of(cut, 0) is None or len(FrameIndex.of(cut, 0).times) < COUNT
