"""A virtual camera as a target, with a stand-in for the library that drives it."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest

import taesd_stream as ts
from taesd_stream.sinks import as_sink
from tests.sinks.taking import frames


class Camera:
    """What pyvirtualcam has of that name."""

    made: tuple[Camera, ...] = ()

    def __init__(self, *, width: int, height: int, fps: float) -> None:
        if width % 2:
            raise RuntimeError("'v4l2loopback' backend: no device. See the manual.")
        self.size, self.fps = (width, height), fps
        self.sent: list[np.ndarray] = []
        self.closed = 0
        Camera.made = (*Camera.made, self)

    def send(self, frame: np.ndarray) -> None:
        self.sent.append(frame)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("pyvirtualcam")
    module.__spec__ = ModuleSpec("pyvirtualcam", None)
    module.Camera = Camera
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)
    monkeypatch.setattr(Camera, "made", ())


@pytest.mark.usefixtures("library")
def test_frames_are_shown_in_a_camera_of_their_size() -> None:
    given = frames(3)
    with ts.VideoSink("camera", fps="live", constant_rate=12) as sink:
        for frame in given:
            sink.write(frame)
    (camera,) = Camera.made
    assert (camera.size, camera.fps, camera.closed) == ((8, 6), 12.0, 1)
    np.testing.assert_array_equal(camera.sent, given)


@pytest.mark.usefixtures("library")
def test_what_no_camera_shows(caplog: pytest.LogCaptureFixture) -> None:
    with ts.VideoSink(["camera", [].append]) as sink:
        sink.write(frames(1, width=5)[0])
    assert [each.written for each in sink.counts.targets] == [0, 1]
    assert (
        "expected a virtual camera, found none ('v4l2loopback' backend: no device)"
        in (caplog.messages[0])
    )
    alone = as_sink("camera")
    alone.write(frames(1)[0])
    with pytest.raises(ts.InputError, match="as the first one was"):
        alone.write(frames(1, width=4)[0])
    alone.close()
    alone.close()


def test_a_missing_library_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taesd_stream.sinks.camera_sink.find_spec", lambda name: None)
    with pytest.raises(ts.MissingExtraError, match=r"pip install 'taesd-stream\[camera\]'"):
        ts.VideoSink("camera")
