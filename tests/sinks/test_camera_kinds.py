"""Cameras of other programs, with stand-ins for the libraries that drive them.

A stand-in has what the library's documentation tells of it. NDI is tried for real where its library
is installed; Spout and Syphon are of other platforms.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import taesd_stream as ts
from taesd_stream.sinks import as_sink
from tests.sinks.taking import LONG_SECONDS, frames
from video.rates import parse_rate


class Told:
    """Remembers what is called of it."""

    def __init__(self, told: list[tuple[object, ...]], **has: object) -> None:
        self._told = told
        self.__dict__.update(has)

    def __getattr__(self, name: str) -> object:
        def call(*values: object) -> bool:
            self._told.append(
                (name, *(np.array(v) if isinstance(v, np.ndarray) else v for v in values))
            )
            return True

        return call


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **has: object) -> None:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__dict__.update(has)
    monkeypatch.setitem(sys.modules, name, module)


def on(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    here = SimpleNamespace(platform=platform)
    monkeypatch.setattr("taesd_stream.sinks.camera_kinds.sys", here)


def with_alpha(frame: np.ndarray) -> np.ndarray:
    return np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)])


def show(target: str, **options: object) -> list[np.ndarray]:
    given = frames(2)
    with ts.VideoSink(target, **options) as sink:
        for frame in given:
            sink.write(frame)
    assert sink.failures == ()
    assert sink.written == 2
    return [with_alpha(frame) for frame in given]


def test_frames_go_to_ndi(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[object, ...]] = []

    def sender(name: str, *, clock_video: bool) -> Told:
        told.append(("Sender", name, clock_video))
        return Told(told)

    stand_in(monkeypatch, "cyndilib")
    stand_in(monkeypatch, "cyndilib.wrapper")
    stand_in(monkeypatch, "cyndilib.wrapper.ndi_structs", FourCC=SimpleNamespace(RGBX="RGBX"))
    video_frame = Told(told)
    stand_in(monkeypatch, "cyndilib.video_frame", VideoSendFrame=lambda: video_frame)
    stand_in(monkeypatch, "cyndilib.sender", Sender=sender)
    expected = show("ndi:Stage left", fps=23.976)
    assert told[:-3] == [
        ("set_resolution", 8, 6),
        ("set_frame_rate", parse_rate(23.976)),
        ("set_fourcc", "RGBX"),
        ("Sender", "Stage left", False),
        ("set_video_frame", video_frame),
        ("open",),
    ]
    assert told[-1] == ("close",)
    for (name, pixels), frame in zip(told[-3:-1], expected, strict=True):
        assert name == "write_video"
        np.testing.assert_array_equal(pixels, frame.reshape(-1))


def test_frames_go_to_spout(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[object, ...]] = []
    on(monkeypatch, "win32")
    stand_in(monkeypatch, "SpoutGL", SpoutSender=lambda: Told(told))
    expected = show("spout")
    assert told[0] == ("setSenderName", "taesd-stream")
    assert told[-1] == ("releaseSender",)
    for (name, pixels, *rest), frame in zip(told[1:-1], expected, strict=True):
        assert (name, rest) == ("sendImage", [8, 6, 6408, False, 0])
        np.testing.assert_array_equal(pixels, frame)
    stand_in(
        monkeypatch,
        "SpoutGL",
        SpoutSender=lambda: Told(told, sendImage=lambda *_: False),
    )
    with pytest.raises(ts.OutputError, match="spout: the frame was not taken"):
        as_sink("spout").write(frames(1)[0])


def test_frames_go_to_syphon(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[object, ...]] = []
    on(monkeypatch, "darwin")
    server, utilities = Told(told, device="the card"), Told(told)

    def open_server(name: str) -> Told:
        told.append(("SyphonMetalServer", name))
        return server

    def make(device: str, width: int, height: int) -> str:
        told.append(("create_mtl_texture", device, width, height))
        return "texture"

    copy = utilities.copy_image_to_mtl_texture
    stand_in(monkeypatch, "syphon", SyphonMetalServer=open_server)
    stand_in(monkeypatch, "syphon.utils")
    stand_in(monkeypatch, "syphon.utils.raw", create_mtl_texture=make)
    stand_in(monkeypatch, "syphon.utils.numpy", copy_image_to_mtl_texture=copy)
    expected = show("syphon:Stage")
    assert told[:2] == [
        ("SyphonMetalServer", "Stage"),
        ("create_mtl_texture", "the card", 8, 6),
    ]
    assert told[-1] == ("stop",)
    for number, frame in enumerate(expected):
        copied, published = told[2 + 2 * number : 4 + 2 * number]
        assert (copied[0], copied[2]) == ("copy_image_to_mtl_texture", "texture")
        np.testing.assert_array_equal(copied[1], frame)
        assert published == ("publish_frame_texture", "texture")


def test_what_is_not_here_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taesd_stream.sinks.camera_sink.find_spec", lambda name: None)
    on(monkeypatch, "linux")
    for target, error, told in (
        (
            "ndi",
            ts.MissingExtraError,
            r"cyndilib is not installed; pip install 'taesd-stream\[ndi\]'",
        ),
        ("camera", ts.MissingExtraError, r"pip install 'taesd-stream\[camera\]'"),
        ("spout:A", ts.InputError, "spout: expected Windows"),
        ("syphon", ts.InputError, "syphon: expected macOS"),
    ):
        with pytest.raises(error, match=told):
            ts.VideoSink(target)
    on(monkeypatch, "win32")
    with pytest.raises(ts.MissingExtraError, match=r"pip install 'taesd-stream\[spout\]'"):
        as_sink("spout")


_SEES = """
import sys, time
import numpy as np
import taesd_stream as ts
from cyndilib.finder import Finder
from cyndilib.receiver import Receiver
from cyndilib.video_frame import VideoFrameSync
from cyndilib.wrapper.ndi_recv import RecvColorFormat

picture = np.zeros((64, 96, 3), np.uint8)
picture[..., 0] = np.linspace(0, 255, 96)
picture[..., 1] = np.linspace(0, 255, 64)[:, None]
end = time.monotonic() + float(sys.argv[1])
with ts.VideoSink("ndi:taesd-stream-test", fps=25) as sink, Finder() as finder:
    receiver, seen = Receiver(color_format=RecvColorFormat.RGBX_RGBA), VideoFrameSync()
    receiver.frame_sync.set_video_frame(seen)
    found = None
    while time.monotonic() < end and min(seen.get_resolution()) < 1:
        sink.write(picture)
        if found is None:
            names = [name for name in finder.get_source_names() if "taesd-stream-test" in name]
            found = finder.get_source(names[0]) if names else None
            if found is not None:
                receiver.set_source(found)
        elif receiver.is_connected():
            receiver.frame_sync.capture_video()
        time.sleep(0.02)
image = np.array(seen.get_array()).reshape(64, 96, 4)[..., :3]
print(seen.get_frame_rate(), int(np.abs(image.astype(int) - picture).max()))
"""


@pytest.mark.skipif(find_spec("cyndilib") is None, reason="needs the extra ndi")
def test_a_receiver_of_ndi_sees_the_picture(tmp_path: Path) -> None:
    # Found by address: not every machine has the service by which NDI finds others.
    networks = {"ndi": {"networks": {"ips": "127.0.0.1,"}}}
    (tmp_path / "ndi-config.v1.json").write_text(json.dumps(networks))
    result = subprocess.run(
        [sys.executable, "-c", _SEES, str(LONG_SECONDS)],
        env={**os.environ, "NDI_CONFIG_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=3 * LONG_SECONDS,
    )
    rate, off = result.stdout.split()[-2:]
    assert Fraction(rate) == 25
    assert int(off) <= 12
