"""What a running program gives to a sink, and what is there when it is closed."""

from __future__ import annotations

import logging
import os
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import taesd_stream as ts
from taesd_stream.engine.pixels import to_bytes
from taesd_stream.sinks import Sink, as_sink
from tests.engine.conftest import model_named
from tests.sinks.taking import LONG_SECONDS, Held, Kept, frames, read


def test_every_target_gets_every_frame_exactly(tmp_path: Path) -> None:
    given, kept, called = frames(5), Kept(), []
    with ts.VideoSink(
        [tmp_path / "a.mkv", tmp_path / "p", kept, called.append], lossless=True, codec="ffv1"
    ) as sink:
        for frame in given:
            sink.write(frame)
    assert kept.closed == 1
    for found in (read(tmp_path / "a.mkv"), read(tmp_path / "p"), kept.frames, called):
        np.testing.assert_array_equal(np.stack(found), np.stack(given))
    assert [(each.written, each.dropped) for each in sink.counts.targets] == [(5, 0)] * 4
    assert (sink.counts.pushed, sink.written, sink.dropped, sink.failures) == (5, 20, 0, ())


def test_latents_become_the_video_that_stream_makes() -> None:
    ae = model_named("taesdv")  # which remembers
    latents = torch.randn((3, 4, 1, 2), generator=torch.Generator().manual_seed(0))
    kept = Kept()
    with ts.VideoSink(kept, model=ae) as sink:
        for latent in latents:
            pushed = latent.clone()
            sink.push(pushed)
            pushed.fill_(torch.nan)  # it is the caller's again
    expected = list(ae.stream(latents))
    np.testing.assert_array_equal(np.stack(kept.frames), np.stack(expected))
    assert (sink.counts.pushed, sink.written) == (3, 3)


def test_a_frame_is_taken_as_it_is_at_that_moment() -> None:
    held = Held()
    array, tensor = np.full((2, 2, 3), 1, np.uint8), torch.full((3, 2, 2), 2 / 255)
    with ts.VideoSink(held) as sink:
        sink.write(np.zeros((2, 2, 3), np.uint8))
        assert held.reached.acquire(timeout=LONG_SECONDS)
        sink.write(array)
        sink.write(tensor)
        array[:], tensor[:] = 7, 7.0
        held.go_on.set()
    assert held.shown == [0, 1, 2]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_floats_become_the_bytes_that_decoding_makes_of_them(dtype: torch.dtype) -> None:
    levels = torch.linspace(-0.1, 1.1, 3 * 20 * 30, dtype=torch.float64).to(dtype).view(3, 20, 30)
    flat = levels.flip(2).transpose(1, 2)  # laid out in another way
    kept = Kept()
    with ts.VideoSink(kept) as sink:
        sink.write(flat)
    np.testing.assert_array_equal(kept.frames[0], to_bytes(flat).numpy())


def test_a_slow_target_gets_the_newest_and_holds_up_nobody() -> None:
    held, kept = Held(), Kept()
    with ts.VideoSink([held, kept], when_full="drop", queue=2) as sink:
        sink.write(np.full((2, 2, 3), 0, np.uint8))
        assert held.reached.acquire(timeout=LONG_SECONDS)
        for number in range(1, 10):
            sink.write(np.full((2, 2, 3), number, np.uint8))
        held.go_on.set()
    slow, quick = sink.counts.targets
    assert held.shown == [0, 8, 9]
    assert (slow.written, slow.dropped) == (3, 7)
    assert quick.written + quick.dropped == 10
    assert int(kept.frames[-1][0, 0, 0]) == 9


class Failing:
    """A sink that fails in all that it does."""

    def write(self, frame: np.ndarray) -> None:
        raise SystemExit("no\nmore")

    def close(self) -> None:
        raise ValueError


def test_a_target_that_fails_is_told_of_once_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    targets = [Failing(), tmp_path]
    with caplog.at_level(logging.WARNING, "taesd_stream"), ts.VideoSink(targets) as sink:
        for frame in frames(4):
            sink.write(frame)
    assert caplog.messages == [
        "sink Failing failed after 0 frames and gets no more: SystemExit: no"
    ]
    failed, others = sink.counts.targets
    assert (failed.written, failed.dropped, failed.failure) == (0, 4, "SystemExit: no")
    assert (others.written, others.failure) == (4, None)
    assert sink.failures == ("Failing: SystemExit: no",)


def test_latents_that_cannot_be_decoded_are_left_out_and_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept, ae = Kept(), ts.load("latent2rgb", device="cpu")
    with caplog.at_level(logging.WARNING, "taesd_stream"), ts.VideoSink(kept, model=ae) as sink:
        for latent in (torch.zeros(4, 2, 2), torch.full((4, 2, 2), torch.nan), torch.ones(4, 2, 2)):
            sink.push(latent)
    assert len(kept.frames) == 2
    assert (sink.counts.pushed, sink.counts.dropped, sink.dropped) == (3, 1, 1)
    (line,) = caplog.messages
    assert "found nan in latent 1" in line


def test_what_does_not_fit_is_refused_where_it_is_given(tmp_path: Path) -> None:
    ae = ts.load("latent2rgb", device="cpu")
    with ts.VideoSink(Kept()) as sink:
        sink.write(frames(1)[0])
        for wrong, said in [
            (frames(1, 4, 4)[0], "frame 1: expected 8x6 pixels, as the first one had, found 4x4"),
            (frames(1)[0].astype(float), "found float64"),
            (torch.zeros(1, 6, 8), r"found a tensor \(1, 6, 8\)"),
            ([1, 2], "found list"),
        ]:
            with pytest.raises(ts.InputError, match=said):
                sink.write(wrong)
        with pytest.raises(ts.InputError, match="give model="):
            sink.push(torch.zeros(4, 2, 2))
    assert sink.written == 1
    with ts.VideoSink(Kept(), model=ae) as sink:
        sink.push(torch.zeros(4, 2, 2))
        with pytest.raises(ts.InputError, match="latent 1: expected 2x2, as the first one was"):
            sink.push(torch.zeros(4, 3, 2))
        with pytest.raises(ts.InputError, match="takes 4 channels, found 16"):
            sink.push(torch.zeros(16, 2, 2))
        with pytest.raises(ts.InputError, match="expected a sink without a model"):
            sink.write(frames(1)[0])
    sink.close()
    with pytest.raises(ts.InputError, match="closed"):
        sink.push(torch.zeros(4, 2, 2))
    assert sink.counts.pushed == 1


def test_what_cannot_work_is_refused_before_anything_begins(tmp_path: Path) -> None:
    (tmp_path / "there.mp4").touch()
    file = (tmp_path / "a").open("wb")
    for target, options, said in [
        ([], {}, "at least one"),
        (3, {}, "found int"),
        (file, {}, "found BufferedWriter"),
        (tmp_path / "no" / "a.mp4", {}, "there is no folder"),
        (tmp_path / "there.mp4", {}, "exists already"),
        (tmp_path / "one.png", {}, "is one picture"),
        (tmp_path / "a.xyz", {}, "found"),
        (print, {"crf": 3}, "crf"),
        (tmp_path / "p", {"codec": "h264"}, "codec: expected none"),
        (tmp_path / "a.mp4", {"codec": "nonsense"}, "nonsense"),
        (print, {"when_full": "maybe"}, "'wait' or 'drop'"),
        (print, {"queue": 0}, "queue"),
        (print, {"fps": "fast"}, "expected a frame rate"),
        (print, {"constant_rate": 30}, "expected fps='live' with it"),
        (tmp_path / "a.gif", {"fps": "live"}, "give constant_rate="),
    ]:
        with pytest.raises(ts.InputError, match=said):
            ts.VideoSink(target, **options)
    file.close()


def test_a_sink_in_the_callers_own_thread(tmp_path: Path) -> None:
    kept, called = Kept(), []
    assert as_sink(kept) is kept
    sinks = [as_sink(tmp_path / "p"), as_sink(called.append)]
    for sink in sinks:
        assert isinstance(sink, Sink)
        sink.write(torch.ones(3, 2, 4))
        sink.close()
        sink.close()
    (picture,) = read(tmp_path / "p")
    assert picture.tolist() == called[0].tolist() == [[[255] * 3] * 4] * 2


def test_a_fork_leaves_the_sink_to_the_process_that_opened_it() -> None:
    kept, (frame,) = Kept(), frames(1)
    with ts.VideoSink(kept) as sink:
        sink.write(frame)
        child = os.fork()
        if not child:
            signal.alarm(LONG_SECONDS)  # one that waits for threads, of which it has none, is ended
            refused = 0
            for use in (lambda: sink.write(frame), sink.close):
                try:
                    use()
                except ts.InputError as error:
                    refused += "forked from it; open another" in str(error)
            sink.__exit__(None, None, None)
            os._exit(0 if refused == 2 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(kept.frames) == 1


def test_what_the_program_does_not_close_is_finished_when_it_ends(tmp_path: Path) -> None:
    given = frames(3)
    sink = ts.VideoSink(tmp_path / "a.mkv", lossless=True)
    for frame in given:
        sink.write(frame)
    sink._at_exit()  # as Python calls it
    (left,) = tmp_path.iterdir()
    assert left.name == "a.part.mkv"
    np.testing.assert_array_equal(read(left), given)
    with pytest.raises(ts.InputError, match="closed"):
        sink.write(given[0])


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt()])
def test_what_was_given_before_an_error_is_kept_under_a_name_that_says_so(
    error: BaseException, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        with ts.VideoSink(tmp_path / "a.mkv", lossless=True) as sink:
            for frame in given:
                sink.write(frame)
            raise error

    given = frames(3)
    with pytest.raises(type(error)):
        fail()
    (left,) = tmp_path.iterdir()
    assert left.name == "a.part.mkv"
    np.testing.assert_array_equal(read(left), given)
    assert caplog.messages[-1] == f"sink: kept: '{left}' (3 frames)"


def test_what_cannot_be_finished_is_told_of_and_where_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ts.VideoSink(tmp_path / "a.mkv", lossless=True) as sink:
        for frame in frames(3):
            sink.write(frame)
        while sink.written < 3:
            time.sleep(0.001)
        (tmp_path / "a.mkv").touch()
    told, kept = caplog.messages
    assert "failed after 3 frames" in told
    assert "appeared while it was being written" in told
    assert kept == f"sink: kept: '{tmp_path / 'a.part.mkv'}' (3 frames)"
    np.testing.assert_array_equal(read(tmp_path / "a.part.mkv"), frames(3))


def test_a_full_disk_ends_one_target_whose_file_plays_until_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept, random = Kept(), np.random.default_rng(0)
    given = [random.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(12)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with ts.VideoSink([tmp_path / "a.mkv", kept], lossless=True) as sink:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
            for frame in given:
                sink.write(frame)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    file, others = sink.counts.targets
    assert "no room" in str(file.failure)
    assert (others.written, others.failure, len(kept.frames)) == (12, None, 12)
    assert file.written + file.dropped == 12
    (left,) = tmp_path.iterdir()
    played = read(left)
    assert 0 < len(played) <= file.written
    np.testing.assert_array_equal(played, given[: len(played)])
    assert sum("gets no more" in line for line in caplog.messages) == 1


def test_a_sink_that_was_given_nothing_leaves_nothing(tmp_path: Path) -> None:
    with ts.VideoSink([tmp_path / "a.mp4", tmp_path / "p"]) as sink:
        pass
    sink.close()
    assert list(tmp_path.iterdir()) == []
    assert sink.failures == ()
