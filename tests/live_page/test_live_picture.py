"""The live page's picture: by WebRTC and as JPEG, and kept while the server is not there."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import pytest

import taesd_stream as ts
from tests.live_page.live_view import LiveView
from tests.live_page.patterns import assert_colours, number_in, numbered, showing

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

NONE = "\N{EN DASH}"


def number_after(view: LiveView, least: int = -1) -> int:
    """The number of a frame that is seen, in the right colours, once it is greater than one."""
    number = -1

    def is_after() -> bool:
        nonlocal number
        picture = view.picture()
        if picture is None:
            return False
        number = number_in(picture)
        assert_colours(picture, number)
        return number > least

    view.until(is_after)
    return number


@pytest.mark.parametrize(
    ("way", "said", "kind"), [("webrtc", "WebRTC", "webrtc"), ("jpeg", "JPEG", "mjpeg")]
)
def test_frames_are_seen_in_their_colours_one_after_the_other(
    view: LiveView, way: str, said: str, kind: str
) -> None:
    with ts.LivePage(port=0) as page, showing(page):
        view.open(page.url)
        first = number_after(view)
        view.set("way", way)
        number_after(view, number_after(view, first))
        assert said in view.way()
        counted = view.text("frame")
        view.until(lambda: view.text("frame") != counted)
        view.until(lambda: view.text("fps") not in (NONE, "0.0") and view.text("latency") != NONE)
        assert view.text("size").split()[::2] == ["256", "256"]
        assert view.text("state") == "playing"
        view.until(lambda: [each.kind for each in page.status.viewers] == [kind])


def test_hls_is_shown_where_the_browser_plays_it(view: LiveView) -> None:
    with ts.LivePage(port=0) as page, showing(page):
        view.open(page.url)
        option = view.element("way").find_elements("tag name", "option")[3]
        if not option.is_enabled():
            pytest.skip("this Chromium plays no HLS")
        number_after(view)
        seen: set[int] = set()
        view.set("way", "hls")

        def are_seen() -> bool:
            if (picture := view.picture()) is not None:
                seen.add(number_in(picture))
            return len(seen) > 3

        view.until(are_seen)
        view.until(lambda: page.status.viewers == ())
        view.set("way", "auto")
        number_after(view, max(seen))
        assert view.way() == "auto: WebRTC"


def test_a_column_that_the_video_has_more_is_out_of_view(view: LiveView) -> None:
    with ts.LivePage(port=0) as page:
        page.write(numbered(1)[:17, :33])
        view.open(page.url)
        view.until(lambda: (picture := view.picture()) is not None and picture.shape == (18, 34, 3))
        view.until(lambda: view.element("picture").is_displayed())
        video, box = view.run(
            "return ['video', 'picture'].map((id) => document.getElementById(id))"
            ".map(({clientWidth, clientHeight}) => [clientWidth, clientHeight])"
        )
        assert video[0] / box[0] == pytest.approx(34 / 33, rel=0.005)
        assert video[1] / box[1] == pytest.approx(18 / 17, rel=0.005)


def test_it_knows_the_number_of_the_frame_that_is_seen(view: LiveView) -> None:
    with ts.LivePage(port=0) as page:
        with showing(page, first=1):
            view.open(page.url)
            assert view.way() == "auto: WebRTC"
            view.until(lambda: view.text("latency") != NONE)
        last = page.status.shown
        view.until(lambda: view.text("frame") == str(last))
        number_after(view, last - 1)
        assert 0 < float(view.text("latency")) < 5000
        assert view.text("latency-of") == "ms, push to pixel"


def test_a_frame_that_was_shown_before_is_seen_by_those_who_come_later(view: LiveView) -> None:
    with ts.LivePage(port=0) as page:
        page.write(numbered(7))
        view.open(page.url)
        assert number_after(view) == 7
        assert view.way() == "auto: WebRTC"
        view.until(lambda: view.text("frame") == "1")
        assert view.text("latency") == NONE  # it came long before anybody looked


@pytest.mark.parametrize(
    "broken",
    [
        "delete globalThis.RTCPeerConnection",
        "RTCPeerConnection.prototype.setRemoteDescription = async () => {}",
        "RTCPeerConnection.prototype.setLocalDescription = async () => { throw Error('none'); }",
    ],
    ids=["missing", "blind", "refusing"],
)
def test_where_there_is_no_webrtc_it_shows_jpeg(view: LiveView, broken: str) -> None:
    script = view.browser.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": broken}
    )
    try:
        with ts.LivePage(port=0) as page, showing(page):
            view.open(page.url)
            view.until(lambda: view.way() == "auto: JPEG")
            number_after(view, number_after(view))
    finally:
        view.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_frames_that_no_encoder_takes_are_shown_as_jpeg(
    view: LiveView, monkeypatch: pytest.MonkeyPatch
) -> None:
    from taesd_stream.errors import OutputError
    from taesd_stream.live import video_feed

    def refuse(width: int, height: int) -> None:
        raise OutputError("no encoder")

    monkeypatch.setattr(video_feed, "LiveEncoder", refuse)
    with ts.LivePage(port=0) as page, showing(page):
        view.open(page.url)
        view.until(lambda: view.way() == "auto: JPEG")
        number_after(view, number_after(view))
        view.open(page.url)
        number_after(view)
        assert not any(name.endswith("/offer") for name in view.requests())


def test_two_viewers_see_it_at_once(view: LiveView, chromium: Chrome) -> None:
    with ts.LivePage(port=0) as page, showing(page):
        view.open(page.url)
        chromium.switch_to.new_window("window")
        other = LiveView(chromium)
        try:
            other.open(page.url)
            last = number_after(other)
            view.look()
            last = number_after(view, last)
            view.until(lambda: view.text("viewers") == "2")
            other.look()
            number_after(other, last)
        finally:
            other.look()
            chromium.close()
            view.look()
        view.until(lambda: view.text("viewers") == "1")


def test_one_viewer_too_many_waits_for_room(view: LiveView) -> None:
    with ts.LivePage(port=0) as page, showing(page):
        viewers = page._server.session.broadcast.viewers
        viewers._most, most = 0, viewers._most
        view.open(page.url)
        view.until(lambda: view.text("notice").startswith("viewers: expected fewer"))
        viewers._most = most
        number_after(view)
        assert not view.element("notice").is_displayed()
        assert all("503" in line for line in view.log())


def test_a_video_that_stands_still_is_begun_anew(view: LiveView) -> None:
    with ts.LivePage(port=0) as page, showing(page):
        view.open(page.url)
        number_after(view)
        view.until(lambda: view.text("latency") != NONE)
        view.run("document.getElementById('video').srcObject = null")
        number_after(view, page.status.shown)
        assert view.way() == "auto: WebRTC"


def test_it_goes_on_when_the_server_is_started_again(view: LiveView) -> None:
    with ts.LivePage(port=0) as page:
        port = page.port
        with showing(page):
            view.open(page.url)
            number_after(view, 10)
    view.until(lambda: view.text("state") == "not connected")
    assert view.text("notice").startswith("The server is gone")
    assert view.element("kept").is_displayed()
    assert view.run("return document.getElementById('controls').inert")
    kept = view.run(
        "const drawn = document.getElementById('kept').getContext('2d');"
        "return [...drawn.getImageData(20, 20, 1, 1).data]"
    )
    colours = np.array([numbered(number)[20, 20] for number in range(7)], int)
    assert np.abs(colours - kept[:3]).max(axis=1).min() <= 4
    time.sleep(0.5)
    with ts.LivePage(port=port) as page, showing(page, first=5000):
        view.until(lambda: view.text("state") == "playing")
        number_after(view, number_after(view, 5000))
        assert not view.element("kept").is_displayed()
        assert not view.run("return document.getElementById('controls').inert")
        assert not view.element("notice").is_displayed()
        assert view.way() == "auto: WebRTC"
    assert all("127.0.0.1" in line for line in view.log())  # that it was not there


def test_another_token_is_told(view: LiveView) -> None:
    with ts.LivePage(port=0, token="first") as page:
        port = page.port
        view.open(page.url)
        assert "token" not in view.browser.current_url
        page.write(numbered(3))
        assert number_after(view) == 3
    with ts.LivePage(port=port, token="second"):
        view.until(lambda: "another token" in view.text("notice"))
    with ExitStack() as opened:
        page = opened.enter_context(ts.LivePage(port=port, token="first"))
        view.until(lambda: view.text("state") == "waiting")
        opened.enter_context(showing(page))
        number_after(view, 3)
    view.log()
