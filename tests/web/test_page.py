"""The page for browsers: its pictures equal the engine's to one level, and its lines help."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

import taesd_stream as ts
from taesd_stream.samples import sample_path
from tests.web.open_page import OpenPage

_FRAMES = 3
_SMALLEST = 27 * 27  # latents that the smallest tile reads, which gives one


@pytest.fixture(scope="module")
def latents() -> Tensor:
    """(T, 4, 40, 56): the first of the sample inside the package."""
    return ts.open_latents(sample_path())[:_FRAMES]


@pytest.fixture(scope="module")
def frames(latents: Tensor) -> Sequence[npt.NDArray[np.uint8]]:
    """The engine's."""
    return list(ts.load("nano", device="cpu").stream(latents, tile=None))


@pytest.fixture
def file(latents: Tensor, tmp_path: Path) -> Path:
    save_file({"latents": latents}, tmp_path / "frames.safetensors")
    return tmp_path / "frames.safetensors"


def assert_close(picture: npt.NDArray[np.uint8], frame: npt.NDArray[np.uint8]) -> None:
    assert picture.shape == frame.shape
    assert np.abs(picture.astype(int) - frame).max() <= 1


def test_pictures_equal_the_engines_in_tiles_of_any_size(
    page: OpenPage, file: Path, frames: Sequence[npt.NDArray[np.uint8]]
) -> None:
    page.choose(file)
    assert "one tile of 40x56 latents" in page.wait("Decoded", "expected")
    assert page.said()["about"] == "frames.safetensors: 3 latents of 448x320 pixels"
    assert_close(page.picture(), frames[0])
    for number, (most, tiles) in enumerate(
        [(1000, "15 exact tiles of 31x32 "), (1600, "3 exact tiles of 40x36 ")]
    ):
        page.set("frame", number + 1)
        page.set("most", most)
        assert tiles in page.wait("Decoded", "expected")
        assert_close(page.picture(), frames[number + 1])
    assert page.element("frame-shown").text == "3 of 3"
    assert page.said()["error"] == page.said()["doubt"] == ""


def test_a_dropped_file_knows_its_scale_and_is_saved_as_png(
    page: OpenPage, latents: Tensor, frames: Sequence[npt.NDArray[np.uint8]], tmp_path: Path
) -> None:
    marker = {"latent_format_version_0": torch.tensor([])}
    save_file({"latent_tensor": latents[:1] / 0.18215, **marker}, tmp_path / "comfy.latent")
    page.drop("comfy.latent", (tmp_path / "comfy.latent").read_bytes())
    page.wait("Decoded", "expected")
    assert page.said()["about"].endswith("one latent of 448x320 pixels, in the full VAE's scale")
    page.element("save").click()
    saved = page.browser.downloads / "comfy.png"
    deadline = time.monotonic() + 20
    while not saved.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert_close(np.asarray(Image.open(saved).convert("RGB")), frames[0])
    page.set("convention", "model")
    page.wait("Decoded", "expected")
    assert "choose the scale of the full VAE" in page.said()["doubt"]


def test_the_sample_is_the_packages(page: OpenPage, built: Path, latents: Tensor) -> None:
    assert torch.equal(load_file(built / "sample.safetensors")["latents"][:_FRAMES], latents)
    page.element("sample").click()
    page.wait("Decoded", "expected")
    assert "48 latents of 448x320 pixels" in page.said()["about"]


def test_a_bad_file_shows_its_line_and_a_good_one_clears_it(page: OpenPage, file: Path) -> None:
    page.drop("broken.safetensors", file.read_bytes()[:-1])
    assert page.wait("expected").endswith("copy or save the file anew")
    assert not page.element("picture").is_displayed()
    page.drop("wide.npy", _npy(np.zeros((4, 1, 2049), np.float32)))
    assert "up to 16384 pixels a side, found 16392x8" in page.wait("expected a picture")
    page.choose(file)
    page.wait("Decoded")
    assert page.said()["error"] == ""


def test_what_is_cancelled_stops_and_can_be_done_again(
    page: OpenPage, file: Path, frames: Sequence[npt.NDArray[np.uint8]]
) -> None:
    page.choose(file)
    page.wait("Decoded", "expected")
    page.set("most", _SMALLEST)
    page.wait("Decoding 420 exact tiles of 27x27 latents", "expected")
    while page.run("return document.querySelector('#progress').value") < 1:
        time.sleep(0.01)
    # A pointer misses a button that moves on a busy machine, while tiles come.
    page.run("document.getElementById('cancel').click()")
    page.wait("Cancelled", "expected")
    left = page.picture()
    assert not page.element("cancel").is_enabled()
    assert not page.element("save").is_enabled()
    time.sleep(0.5)
    assert np.array_equal(page.picture(), left)
    assert (left == 0).any()
    page.set("most", 128**2)
    page.wait("Decoded", "expected")
    assert_close(page.picture(), frames[0])


def test_a_narrow_window_is_wide_enough(page: OpenPage, file: Path) -> None:
    page.choose(file)
    page.wait("Decoded", "expected")
    size = {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        wide, room = page.run(
            "const {scrollWidth, clientWidth} = document.documentElement;"
            "return [scrollWidth, clientWidth]"
        )
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide == room <= 320


def _npy(array: npt.NDArray[np.float32]) -> bytes:
    import io

    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
