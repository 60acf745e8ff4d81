"""Servers and playlists as targets of a sink, beside others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import taesd_stream as ts
from taesd_stream.sinks import as_sink
from taesd_stream.sinks.pacing import Pacing
from taesd_stream.sinks.publish_sink import PublishSink
from tests.sinks.taking import LONG_SECONDS, frames, read, times_of
from tests.video.servers import Server, free_port, number_of, picture, played, silent_server
from tests.video.stages import ctrl_c_once
from video import VideoOptions
from video.publishing.addresses import Address


def clock() -> Iterator[float]:
    yield from (1000.0 + at for at in CAME)


CAME = (0.0, 0.02, 0.05, 0.11, 0.12, 0.3)


@pytest.mark.parametrize("fps", ["live", 24])
def test_a_server_gets_frames_at_their_times_beside_a_file(fps: str | int, tmp_path: Path) -> None:
    server = Server("rtmp")
    targets = [f"rtmp://127.0.0.1:{server.port}/app/key", tmp_path / "a.mp4"]
    with ts.VideoSink(targets, fps=fps, crf=8, clock=clock().__next__) as sink:
        for number in range(len(CAME)):
            sink.write(picture(number))
    server.join()
    assert sink.failures == ()
    assert [each.written for each in sink.counts.targets] == [6, 6]
    assert sink.counts.targets[0].target == f"rtmp://127.0.0.1:{server.port}/..."
    assert [number_of(image) for _, image in server.received] == list(range(6))
    expected = CAME if fps == "live" else [number / 24 for number in range(6)]
    first = server.received[0][0]
    found = [float(at - first) for at, _ in server.received]
    assert found == pytest.approx(expected, abs=1.01e-3)
    assert [float(at) for at in times_of(tmp_path / "a.mp4")] == pytest.approx(expected, abs=1e-4)


def test_a_server_that_is_not_there_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"rtmp://me:secret@127.0.0.1:{free_port()}/app/secret"
    with ts.VideoSink([address, tmp_path / "a.mkv"], lossless=True) as sink:
        for frame in frames(6):
            sink.write(frame)
    (failure,) = sink.failures
    assert "Connection refused" in failure
    assert [each.written for each in sink.counts.targets][1] == 6
    np.testing.assert_array_equal(read(tmp_path / "a.mkv"), frames(6))
    told = [each for each in caplog.messages if "Connection refused" in each]
    assert len(told) == 1
    assert "secret" not in caplog.text + failure


def test_a_server_that_goes_away_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    server, kept = Server("rtmp", most=2), []
    address = f"rtmp://127.0.0.1:{server.port}/app/key"
    with ts.VideoSink([address, kept.append], fps=100) as sink:
        for number in range(10_000):
            sink.write(picture(number))
            if sink.failures:
                break
    server.join()
    assert "ended after" in sink.failures[0]
    assert len(kept) == number + 1
    assert sink.counts.targets[0].written + sink.counts.targets[0].dropped == number + 1
    assert len([each for each in caplog.messages if "ended after" in each]) == 1


def standing_still(tmp_path: Path) -> PublishSink:
    """A sink whose clock does not go on, so that nothing is ever due."""
    options = VideoOptions(Fraction(24), crf=8)
    address = Address.of(tmp_path / "a.m3u8")
    return PublishSink(address, Pacing(24), options, clock=lambda: 0.0)


def ends(work: threading.Thread) -> None:
    work.start()
    work.join(LONG_SECONDS)
    assert not work.is_alive()


@pytest.mark.parametrize("is_interrupted", [True, False])
def test_nothing_is_waited_for_after_an_error(is_interrupted: bool, tmp_path: Path) -> None:
    sink = standing_still(tmp_path)
    for number in range(3):
        assert sink.put(picture(number), None)
    closing = threading.Thread(target=sink.close)
    if is_interrupted:  # while it is being closed
        closing.start()
        sink.hurry()
        closing.join(LONG_SECONDS)
        assert not closing.is_alive()
    else:
        ends(threading.Thread(target=sink.leave, args=[ValueError()]))
    assert [number_of(image) for _, image in played(tmp_path / "a.m3u8")] == [0, 1, 2]


def test_an_error_in_the_block_hurries_what_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = standing_still(tmp_path)
    monkeypatch.setattr("taesd_stream.sinks.targets.PublishSink", lambda *_: sink)

    def publish() -> None:
        with ts.VideoSink(tmp_path / "a.m3u8") as published:
            for number in range(36):  # more than there is room for
                published.write(picture(number))
                if number == 35:
                    raise ValueError

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    ends(threading.Thread(target=publish))
    assert [number_of(image) for _, image in played(tmp_path / "a.m3u8")] == [
        number % 30 for number in range(36)
    ]


def test_a_server_that_does_not_answer_is_not_waited_for_after_an_error() -> None:
    with silent_server() as port:
        options = VideoOptions(Fraction(24))
        sink = PublishSink(Address.of(f"rtmp://127.0.0.1:{port}/a/b"), Pacing(24), options)
        sink.put(picture(0), None)
        with pytest.raises(ts.OutputError, match=r"\.\.\. was given up"):
            sink.leave(ValueError())


def test_ctrl_c_ends_the_wait_for_what_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, waited, closing = standing_still(tmp_path), threading.Event(), threading.Event()
    monkeypatch.setattr("taesd_stream.sinks.targets.PublishSink", lambda *_: sink)

    def end_it() -> None:
        waited.set()
        sink.hurry()

    giving_up = threading.Timer(LONG_SECONDS, end_it)
    giving_up.start()
    published = ts.VideoSink(tmp_path / "a.m3u8")
    for number in range(3):
        published.write(picture(number))
    closing.set()
    with ctrl_c_once(closing), pytest.raises(KeyboardInterrupt):
        published.close()
    giving_up.cancel()
    giving_up.join()
    assert not waited.is_set()
    assert [number_of(image) for _, image in played(tmp_path / "a.m3u8")] == [0, 1, 2]


def test_frames_that_come_too_soon_for_a_constant_rate_are_left_out(tmp_path: Path) -> None:
    came = iter((5.0, 5.01, 5.1, 5.12))
    with ts.VideoSink(
        tmp_path / "a.m3u8", fps="live", constant_rate=10, clock=came.__next__
    ) as sink:
        for number in range(4):
            sink.write(picture(number))
    assert (sink.written, sink.dropped) == (2, 2)
    assert {number_of(image) for _, image in played(tmp_path / "a.m3u8")} == {0, 2}


def test_frames_that_are_late_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = iter((0.0, *[50.0] * 99))
    options = VideoOptions(Fraction(24))
    address = Address.of(tmp_path / "a.m3u8")
    sink = PublishSink(address, Pacing(24), options, clock=lambda: next(now))
    sink.put(picture(0), None)
    sink.put(picture(1), None)
    sink.leave(ValueError())
    assert sink.notes == (
        "frames came too late for a buffer of 0.2 s: they were shown 49.8 s later",
    )


def test_options_go_where_they_make_sense(tmp_path: Path) -> None:
    playlist = tmp_path / "a.m3u8"
    with ts.VideoSink([playlist, tmp_path / "a.webm"], codec="vp9", crf=60) as sink:
        sink.write(picture(0))
    assert sink.failures == ()
    with pytest.raises(ts.OutputExistsError):
        ts.VideoSink(playlist)
    ts.VideoSink(playlist, overwrite=True).close()
    for options in ({"codec": "vp9"}, {"lossless": True}):
        with pytest.raises(ts.InputError, match="what is published"):
            ts.VideoSink(tmp_path / "b.m3u8", **options)
    with pytest.raises(ts.InputError, match="expected an address with a server"):
        ts.VideoSink("rtmp:///app/key")


def test_a_playlist_is_a_sink_of_its_own(tmp_path: Path) -> None:
    sink = as_sink(str(tmp_path / "a.m3u8"), fps=50)
    for number in range(10):
        sink.write(picture(number))
    with pytest.raises(ts.InputError, match="as the first one"):
        sink.write(picture(4, width=66))
    sink.close()
    sink.close()
    with pytest.raises(ts.InputError, match="is closed"):
        sink.write(picture(4))
    found = played(tmp_path / "a.m3u8")
    assert [(at, number_of(image)) for at, image in found] == [
        (Fraction(number, 50), number) for number in range(10)
    ]


def test_srt_needs_an_ffmpeg_that_has_it() -> None:
    with pytest.raises(ts.InputError, match="expected PyAV with libsrt") as raised:
        ts.VideoSink("srt://127.0.0.1:9?passphrase=secret")
    assert "secret" not in str(raised.value)
