"""Latents that come over HTTP and by sockets: what is taken, refused and recorded."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import safetensors.torch
import torch

import taesd_stream as ts
from taesd_stream.sinks.latent_decoding import LatentDecoding
from tests.engine.conftest import model_named, narrow_model_named
from tests.live.asking import LONG_SECONDS, Answer, ask, frame_of, until


def _body(latents: torch.Tensor) -> bytes:
    return safetensors.torch.save({"latents": latents})


def _post(page: ts.LivePage, latents: torch.Tensor, query: str = "") -> Answer:
    return ask(page.port, f"/latents{query}", _body(latents))


def _until_shown(page: ts.LivePage, count: int) -> None:
    until(lambda: page.status.shown == count)


def _latents(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_a_post_is_shown_and_its_answer_says_so(page: ts.LivePage, nano: ts.AutoEncoder) -> None:
    latents = _latents(3, 4, 3, 5)
    answer = _post(page, latents)
    assert (answer.status, json.loads(answer.body)) == (202, {"taken": 3, "dropped": 0})
    until(lambda: page.status.shown == 3)
    np.testing.assert_array_equal(frame_of(page.port), list(nano.stream(latents))[-1])
    assert (page.status.pushed, page.status.dropped) == (3, 0)


def test_another_size_is_refused_until_a_pause(
    page: ts.LivePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taesd_stream.live.intake._HOLDS_SECONDS", 1000.0)
    assert _post(page, _latents(4, 3, 5)).status == 202
    answer = _post(page, _latents(4, 5, 3))
    assert answer.status == 409
    assert answer.words.startswith("latents: expected 5x3, as those that are shown now, found 3x5")
    assert _post(page, _latents(4, 3, 5)).status == 202
    monkeypatch.setattr("taesd_stream.live.intake._HOLDS_SECONDS", 0.0)
    time.sleep(0.01)
    assert _post(page, _latents(4, 5, 3), "?when_full=wait").status == 202
    until(lambda: (page.status.width, page.status.height) == (24, 40))


def test_a_video_goes_on_and_begins_anew_after_a_rest_or_with_who_connects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ae = model_named("taesdv")
    latents = _latents(3, 4, 2, 2)
    expected = list(ae.stream(latents))
    with ts.LivePage(model=ae, port=0) as page:
        for number, latent in enumerate(latents):
            assert _post(page, latent, "?when_full=wait").status == 202
            _until_shown(page, number + 1)
            np.testing.assert_array_equal(frame_of(page.port), expected[number])
        with ts.LiveClient(page.url) as client:
            client.push(latents[0])
            _until_shown(page, 4)
            np.testing.assert_array_equal(frame_of(page.port), expected[0])
            client.push(latents[1])
            _until_shown(page, 5)
            np.testing.assert_array_equal(frame_of(page.port), expected[1])
        monkeypatch.setattr("taesd_stream.live.intake._RESTS_SECONDS", 0.0)
        time.sleep(0.01)
        assert _post(page, latents[0]).status == 202
        _until_shown(page, 6)
        np.testing.assert_array_equal(frame_of(page.port), expected[0])


def test_a_clip_is_shown_whole_behind_frames_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latents that each become four frames, as quickly as they come."""
    ae = narrow_model_named("taehv")
    latents = _latents(6, 16, 2, 2)
    monkeypatch.setattr("taesd_stream.live.live_page._FRAMES_THAT_WAIT", 1)
    with ts.LivePage(model=ae, port=0) as page:
        assert _post(page, latents).status == 202
        _until_shown(page, len(list(ae.stream(latents))))
        assert page.status.dropped == 0


def test_what_waits_is_not_decoded_when_the_page_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()
    decoded = []
    plain, drop = LatentDecoding._decoded, LatentDecoding.drop_waiting
    dropping = threading.Event()

    def held(self: LatentDecoding, bring: Callable[[], torch.Tensor]) -> Iterator[torch.Tensor]:
        decoded.append(bring)
        begun.release()
        assert go_on.wait(LONG_SECONDS)
        return plain(self, bring)

    def told(self: LatentDecoding) -> None:
        drop(self)
        dropping.set()

    monkeypatch.setattr(LatentDecoding, "_decoded", held)
    monkeypatch.setattr(LatentDecoding, "drop_waiting", told)
    page = ts.LivePage(model="nano", port=0)
    assert _post(page, _latents(2, 4, 2, 2)).status == 202
    assert begun.acquire(timeout=LONG_SECONDS)
    closing = threading.Thread(target=page.close)
    closing.start()
    assert dropping.wait(LONG_SECONDS)
    go_on.set()
    closing.join(LONG_SECONDS)
    assert len(decoded) == 1


def test_after_a_failure_the_next_one_begins_anew(
    page: ts.LivePage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:

        def fail(self: object, bring: object) -> None:
            raise RuntimeError("no memory left")

        patch.setattr(LatentDecoding, "_decoded", fail)
        assert _post(page, _latents(4, 2, 2)).status == 202
        until(lambda: page.status.state == "failed")
        assert page.status.failure == "decoding: RuntimeError: no memory left"
    assert _post(page, _latents(4, 2, 2)).status == 202
    until(lambda: page.status.shown == 1)
    assert (page.status.failure, page.status.pushed, page.status.dropped) == (None, 2, 1)


def test_too_many_a_second_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taesd_stream.live.uploads._PER_SECOND", 3.0)
    with ts.LivePage(model="latent2rgb", port=0) as page:
        found = [_post(page, _latents(4, 1, 1)) for _ in range(10)]
        refused = [each for each in found if each.status == 429]
        assert 1 <= len(refused) <= 7
        assert refused[0].headers["retry-after"] == "1"
        assert refused[0].words == "latents: expected up to 3 a second, found more\n"


def test_bodies_of_all_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taesd_stream.live.uploads._MOST_HELD_BYTES", 1000)
    with ts.LivePage(model="latent2rgb", port=0) as page:
        assert _post(page, _latents(4, 2, 2)).status == 202
        assert _post(page, _latents(4, 20, 20)).status == 503
        assert _post(page, _latents(4, 2, 2)).status == 202


def test_a_recording_holds_what_was_shown(nano: ts.AutoEncoder, tmp_path: Path) -> None:
    with ts.LivePage(model=nano, port=0, recordings=tmp_path / "new") as page:

        def record(action: str) -> Answer:
            return ask(page.port, "/recording", json.dumps({"action": action}).encode())

        assert record("start").status == 503  # nothing is shown
        assert record("sing").status == 400
        assert json.loads(record("stop").body) == {"name": None}
        _post(page, _latents(4, 4, 6))
        until(lambda: page.status.shown == 1)
        name = json.loads(record("start").body)["name"]
        assert record("start").words == f"recording: expected none, found {name} under way\n"
        assert ask(page.port, f"/recordings/{name}").status == 404  # it is not finished
        _post(page, _latents(4, 4, 4, 6))
        until(lambda: page.status.recording.frames == 5)
        assert json.loads(record("stop").body) == {"name": name}
        assert page.status.recording.finished == (name,)
        video = ask(page.port, f"/recordings/{name}")
        assert video.body == (tmp_path / "new" / name).read_bytes()
    with av.open(str(tmp_path / "new" / name)) as file:
        assert [(frame.width, frame.height) for frame in file.decode(video=0)] == [(48, 32)] * 5


def test_a_page_that_plays_takes_none(nano: ts.AutoEncoder) -> None:
    with ts.LivePage(_latents(3, 4, 2, 2), model=nano, port=0) as page:
        assert _post(page, _latents(4, 2, 2)).status == 404
        assert not page.status.takes_latents


def test_a_recording_ends_with_its_size_and_its_folder_is_checked(
    tmp_path: Path,
) -> None:
    def record(page: ts.LivePage, action: str) -> Answer:
        return ask(page.port, "/recording", json.dumps({"action": action}).encode())

    with ts.LivePage(port=0, recordings=tmp_path / "made" / "here") as page:
        page.write(np.zeros((16, 16, 3), np.uint8))
        until(lambda: page.status.shown == 1)
        assert record(page, "start").status == 200
        page.write(np.zeros((16, 16, 3), np.uint8))
        page.write(np.zeros((32, 16, 3), np.uint8))
        until(lambda: page.status.recording.finished)
        assert page.status.recording.name is None
    (tmp_path / "file").write_text("no folder")
    with ts.LivePage(port=0, recordings=tmp_path / "file") as page:
        page.write(np.zeros((16, 16, 3), np.uint8))
        until(lambda: page.status.shown == 1)
        refused = record(page, "start")
        assert refused.status == 500
        assert refused.words.startswith("recordings: expected a folder to write to, found")
