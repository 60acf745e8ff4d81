"""The live page's controls: of a file that is played, of saving, and of recordings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

import taesd_stream as ts
from tests.live_page.live_view import LiveView
from tests.live_page.patterns import assert_colours, number_in, numbered, showing
from video import open_reader

_FRAMES = 30


@pytest.fixture(scope="module")
def latents() -> Tensor:
    """(30, 4, 8, 12): each of one value a channel, so that its frame is nearly one colour."""
    values = torch.rand(_FRAMES, 4, generator=torch.Generator().manual_seed(4)) * 4 - 2
    return values[:, :, None, None].expand(-1, -1, 8, 12).contiguous()


@pytest.fixture(scope="module")
def frames(latents: Tensor) -> npt.NDArray[np.uint8]:
    """(30, 64, 96, 3): the engine's."""
    return np.stack(list(ts.load("nano", device="cpu").stream(latents)))


@pytest.fixture
def page(latents: Tensor, tmp_path: Path) -> Iterator[ts.LivePage]:
    with ts.LivePage(latents, model="nano", port=0, loop=True, recordings=tmp_path) as page:
        yield page


@pytest.fixture
def paused(page: ts.LivePage, view: LiveView) -> LiveView:
    """The page, opened and paused by its button."""
    view.open(page.url)
    view.until(lambda: view.text("latency") not in ("", "\N{EN DASH}"))
    view.click("toggle")
    view.until(lambda: view.text("state") == "paused")
    return view


def wait_for(view: LiveView, frames: npt.NDArray[np.uint8], place: int) -> None:
    """Wait until the page says that it shows a frame, and it does."""
    view.until(lambda: view.text("place").startswith(f"{place + 1} / {_FRAMES} "))
    view.until(lambda: shown(view, frames) == place)


def shown(view: LiveView, frames: npt.NDArray[np.uint8]) -> int:
    """The frame that is most like the one that is seen."""
    picture = view.picture()
    assert picture is not None
    off = np.abs(frames.astype(int) - picture).mean(axis=(1, 2, 3))
    assert off.min() < 4
    return int(off.argmin())


def test_pause_stops_it_and_steps_go_one_by_one(
    page: ts.LivePage, paused: LiveView, frames: npt.NDArray[np.uint8]
) -> None:
    time.sleep(0.5)  # in which a frame whose turn it was is shown
    before = page.status.shown
    time.sleep(0.5)
    assert page.status.shown == before
    assert paused.element("toggle").accessible_name == "Play"
    paused.click("forward")
    paused.until(lambda: page.status.shown == before + 1)
    paused.set("seek", 12)
    wait_for(paused, frames, 12)
    paused.click("forward")
    wait_for(paused, frames, 13)
    paused.click("back")
    paused.click("back")
    wait_for(paused, frames, 11)
    paused.click("toggle")
    paused.until(lambda: paused.text("state") == "playing" and shown(paused, frames) != 11)


def test_seek_goes_where_it_should(paused: LiveView, frames: npt.NDArray[np.uint8]) -> None:
    for place in (0, _FRAMES - 1, 7, 8):
        paused.set("seek", place)
        wait_for(paused, frames, place)
        assert paused.element("seek").get_attribute("value") == str(place)


def test_the_slider_does_not_go_back_before_the_frame_is_there(
    paused: LiveView, frames: npt.NDArray[np.uint8]
) -> None:
    time.sleep(0.5)  # in which a frame whose turn it was is shown
    paused.run(
        """
        const place = document.getElementById("place");
        globalThis.places = [];
        const note = () => places.push(Number.parseInt(place.textContent));
        const all = {childList: true, characterData: true, subtree: true};
        new MutationObserver(note).observe(place, all);
        """
    )
    wanted = [0, 20, 3, 11, 28, 6, 15, 1, 9, 26]
    for place in wanted:
        paused.set("seek", place)
        paused.until(lambda place=place: shown(paused, frames) == place)
        time.sleep(0.3)
    places = paused.run("return places")
    assert [each - 1 for each in places if each - 1 in wanted] == wanted
    assert len(places) == len(wanted)


def test_speed_is_chosen_and_told(page: ts.LivePage, view: LiveView) -> None:
    view.open(page.url)
    view.until(lambda: view.element("speed").is_displayed())
    view.set("speed", "0.25")
    view.until(lambda: page.status.player and page.status.player.speed == 0.25)
    page._server.session.player.tell("speed", 3.0)  # type: ignore[union-attr]
    view.until(lambda: view.element("speed").get_attribute("value") == "3")


def test_keys_do_what_the_buttons_do(
    page: ts.LivePage, paused: LiveView, frames: npt.NDArray[np.uint8]
) -> None:
    from selenium.webdriver.common.keys import Keys

    paused.run("document.activeElement.blur()")
    paused.press(Keys.HOME)
    wait_for(paused, frames, 0)
    paused.press(".", ".", ",")
    wait_for(paused, frames, 1)
    paused.press(Keys.ARROW_RIGHT)
    wait_for(paused, frames, 25)
    paused.press(Keys.ARROW_LEFT)
    wait_for(paused, frames, 1)
    paused.press(Keys.END)
    wait_for(paused, frames, _FRAMES - 1)
    paused.press(" ")
    paused.until(lambda: paused.text("state") == "playing")
    paused.press("r")
    paused.until(lambda: paused.text("said").startswith("Recording into "))
    paused.press("r")
    paused.until(lambda: page.status.recording.finished)
    paused.press("?")
    assert paused.element("keys").is_displayed()
    paused.press(" ", Keys.ESCAPE)
    assert not paused.element("keys").is_displayed()
    paused.press("f")
    paused.until(lambda: paused.run("return document.fullscreenElement?.id") == "stage")
    paused.press("f")
    paused.until(lambda: not paused.run("return document.fullscreenElement"))
    assert paused.text("state") == "playing"  # keys of a dialog are its own


def test_keys_that_a_control_takes_do_nothing_else(
    page: ts.LivePage, paused: LiveView, frames: npt.NDArray[np.uint8]
) -> None:
    from selenium.webdriver.common.keys import Keys

    paused.set("seek", 5)
    wait_for(paused, frames, 5)
    paused.run("document.getElementById('speed').focus()")
    paused.press("r", ".", Keys.ESCAPE)
    paused.run("document.getElementById('seek').focus()")
    paused.press(Keys.ARROW_RIGHT)  # the slider's own: one frame, not one second
    wait_for(paused, frames, 6)
    paused.run("document.getElementById('save').focus()")
    paused.press(" ")
    paused.until(lambda: paused.text("said").startswith("Saved "))
    assert page.status.state == "paused"
    assert page.status.recording.name is None


def test_everything_is_reached_by_tab_and_has_a_name(paused: LiveView) -> None:
    from selenium.webdriver.common.keys import Keys

    controls = "button, select, input, a[href]"
    wanted = [
        each.get_attribute("id")
        for each in paused.browser.find_elements("css selector", controls)
        if each.is_displayed() and each.is_enabled()
    ]
    assert len(wanted) >= 9
    paused.run("document.activeElement.blur()")
    reached = {}
    for _ in range(2 * len(wanted)):
        paused.press(Keys.TAB)
        focused = paused.browser.switch_to.active_element
        outline = focused.value_of_css_property("outline-style")
        reached[focused.get_attribute("id")] = (focused.accessible_name, outline)
    assert set(wanted) <= set(reached)
    assert all(reached[each][0] and reached[each][1] != "none" for each in wanted)


def test_a_saved_frame_is_the_engines(paused: LiveView, frames: npt.NDArray[np.uint8]) -> None:
    paused.set("seek", 17)
    wait_for(paused, frames, 17)
    paused.press("s")
    saved = paused.browser.downloads / "frame-00017.png"
    paused.until(saved.exists)
    assert np.array_equal(np.asarray(Image.open(saved)), frames[17])
    assert paused.text("said") == "Saved frame-00017.png"


def test_a_recording_plays(view: LiveView, tmp_path: Path) -> None:
    with ts.LivePage(port=0, recordings=tmp_path) as page:
        view.open(page.url)
        assert not view.element("record").is_enabled()
        assert not view.element("save").is_enabled()
        with showing(page):
            view.until(lambda: view.element("record").is_enabled())
            view.click("record")
            view.until(lambda: page.status.recording.frames > 5)
            view.until(lambda: view.text("record") not in ("Record", "Stop · 0:00"))
            view.click("record")
            view.until(lambda: view.element("recordings").is_displayed())
        link = view.element("recordings").find_element("tag name", "a")
        (path,) = tmp_path.iterdir()
        assert link.text == path.name
        link.click()
        saved = view.browser.downloads / path.name
        view.until(saved.exists)
        assert saved.read_bytes() == path.read_bytes()
    with open_reader(path) as reader:
        recorded = [frame.image for frame in reader]
    numbers = [number_in(frame) for frame in recorded]
    assert len(numbers) > 5
    assert numbers == sorted(numbers)
    assert_colours(recorded[-1], numbers[-1])


def test_a_recording_that_fails_is_told(
    view: LiveView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from taesd_stream.errors import OutputError
    from taesd_stream.sinks.file_sink import FileSink

    def fail(*given: object) -> None:
        raise OutputError("no space left on the disk")

    monkeypatch.setattr(FileSink, "put", fail)
    with ts.LivePage(port=0, recordings=tmp_path) as page, showing(page):
        view.open(page.url)
        view.until(lambda: view.element("record").is_enabled())
        view.click("record")
        view.until(lambda: "no space left on the disk" in view.text("said"))


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_it_fits_into_windows_of_any_width(view: LiveView, page: ts.LivePage, width: int) -> None:
    size = {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": False}
    view.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        view.open(page.url)
        view.until(lambda: view.element("picture").is_displayed())
        wide, room = view.run(
            "const {scrollWidth, clientWidth} = document.documentElement;"
            "return [scrollWidth, clientWidth]"
        )
        across = view.run("return document.getElementById('picture').clientWidth")
    finally:
        view.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide == room <= width
    assert 0.6 * min(room, 700) < across < room


def test_before_the_first_frame_it_says_how_to_push(view: LiveView) -> None:
    with ts.LivePage(model="nano", port=0) as page:
        view.open(page.url)
        assert view.text("state") == "waiting"
        assert view.text("pushed-to") == f"http://127.0.0.1:{page.port}/latents"
        assert f'ts.LiveClient("http://127.0.0.1:{page.port}")' in view.text("example")
        assert not view.element("seek").is_displayed()
        page.write(numbered(1))
        view.until(lambda: not view.element("waiting").is_displayed())
