"""The live page under a program that pushes latents: from push to pixel through a browser, and what
the server holds while it goes on for long.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from shutil import which
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import torch
from torch import Tensor

import taesd_stream as ts
from benchmarks.absent import Unavailable

__all__ = ["numbered_latent", "run_page"]

_PIXELS = 256
_CELL = 64
"""Pixels a side of a cell, of which each is a bit of the frame's number."""
_SIDE = _PIXELS // _CELL
_RATE = 24
_WARM_UP = 48
_MIB = 1 << 20
_REPORT_SECONDS = 30
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=900,900")

# Reads the number off the video's pixels whenever the browser presents a frame of it.
_WATCH = """
const video = document.querySelector("video");
const canvas = Object.assign(document.createElement("canvas"), {width: arguments[0],
                                                               height: arguments[0]});
const context = canvas.getContext("2d", {willReadFrequently: true});
const cells = arguments[1], cell = arguments[0] / cells;
window.seen = [];
const look = (now, frame) => {
  context.drawImage(video, 0, 0);
  let number = 0;
  for (let bit = 0; bit < cells * cells; bit++) {
    const x = (bit % cells + 0.5) * cell, y = (Math.floor(bit / cells) + 0.5) * cell;
    if (context.getImageData(x, y, 1, 1).data[1] > 127) number |= 1 << bit;
  }
  const origin = performance.timeOrigin;
  window.seen.push([number, origin + performance.now(), origin + frame.expectedDisplayTime]);
  video.requestVideoFrameCallback(look);
};
video.requestVideoFrameCallback(look);
"""


@dataclass(frozen=True, slots=True)
class FromPushToPixel:
    """Milliseconds of frames that were pushed and seen.

    Attributes:
        pushed: Frames that were pushed.
        read_ms: From a push until the frame's pixels were read off the page.
        shown_ms: From a push until the browser was to show the frame.
        decode_ms: What decoding one takes, measured alone.
    """

    pushed: int
    read_ms: tuple[float, ...]
    shown_ms: tuple[float, ...]
    decode_ms: float

    def __str__(self) -> str:
        cuts = quantiles(self.read_ms, n=20, method="inclusive")
        bound = 1000 / _RATE + 60
        over = median(self.read_ms) - self.decode_ms
        return (
            f"{len(self.read_ms)} of {self.pushed} frames seen; from push to pixel, ms: median"
            f" {cuts[9]:.1f}, 95% {cuts[18]:.1f}, most {max(self.read_ms):.1f}; until shown: median"
            f" {median(self.shown_ms):.1f}\n"
            f"decode alone: {self.decode_ms:.1f}; over it: {over:.1f}, where a frame and 60 are"
            f" {bound:.1f}"
        )


def numbered_latent(ends: tuple[Tensor, Tensor], number: int) -> Tensor:
    """A latent, (4, h, w), whose picture has the bits of a number as dark and bright cells.

    Args:
        ends: The latents of black and of white, (4,) each.
    """
    cell = _CELL // 8
    bits = torch.tensor([(number >> bit) & 1 for bit in range(_SIDE**2)]).reshape(_SIDE, _SIDE)
    plane = bits.repeat_interleave(cell, 0).repeat_interleave(cell, 1)
    black, white = (each[:, None, None] for each in ends)
    return torch.where(plane.bool(), white, black).contiguous()


def run_page(frames: int, viewers: int, seconds: int, say: Callable[[str], None]) -> str:
    """Measure the latency over some frames; then let viewers watch for some seconds.

    Raises:
        Unavailable: There is no Chromium here, with its driver and selenium.
    """
    ae = ts.load("nano", device="cpu")
    ends = _ends(ae)
    decode_ms = _decode_ms(ae, ends)
    with ExitStack() as opened:
        server, url = opened.enter_context(_served())
        browser = opened.enter_context(_chromium())
        push = opened.enter_context(_pushing(url, ends))
        browser.get(url)
        push(_WARM_UP)
        _until_video(browser)
        browser.execute_script(_WATCH, _PIXELS, _SIDE)
        say(f"pushing {frames} frames of {_PIXELS}x{_PIXELS} pixels at {_RATE}/s")
        pushed_at = push(frames)
        time.sleep(1)
        seen = browser.execute_script("return window.seen.splice(0)")
        found = _latencies(seen, pushed_at, decode_ms)
        told = [str(found)]
        if seconds:
            say(f"{viewers} viewers for {seconds} seconds")
            with _watching(browser, url, viewers):
                told += _soak(_Server(server, url), push, seconds, say)
    return "\n".join(told)


def _ends(ae: ts.AutoEncoder) -> tuple[Tensor, Tensor]:
    """The latents of black and of white, (4,) each."""
    flat = torch.stack([torch.zeros(3, _CELL, _CELL), torch.ones(3, _CELL, _CELL)])
    middle = _CELL // 16
    black, white = ae.encode(flat)[:, :, middle, middle]
    return black, white


def _decode_ms(ae: ts.AutoEncoder, ends: tuple[Tensor, Tensor]) -> float:
    taken = []
    for number in range(20):
        latent = numbered_latent(ends, number)[None]
        began = time.perf_counter()
        ae.decode(latent)
        taken.append(time.perf_counter() - began)
    return 1000 * median(taken[5:])


@contextmanager
def _served() -> Iterator[tuple[psutil.Process, str]]:
    """The page, served by a process of its own."""
    command = [sys.executable, "-m", "taesd_stream", "serve", "--model", "nano", "--port", "0"]
    with TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*command, "--json", "--recordings", folder], stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            yield psutil.Process(process.pid), json.loads(process.stdout.readline())["url"]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


@contextmanager
def _chromium() -> Iterator[Any]:
    binary, driver = which("chromium"), which("chromedriver")
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError as error:
        raise Unavailable("no selenium: pip install selenium") from error
    if binary is None or driver is None:
        raise Unavailable("no Chromium: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in _FLAGS:
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield browser
    finally:
        browser.quit()


def _until_video(browser: Any) -> None:
    deadline = time.monotonic() + 30
    while not browser.execute_script(
        "const video = document.querySelector('video'); return video && video.videoWidth > 0"
    ):
        if time.monotonic() > deadline:
            raise Unavailable("no video by WebRTC in this Chromium")
        time.sleep(0.1)


@contextmanager
def _pushing(url: str, ends: tuple[Tensor, Tensor]) -> Iterator[Callable[[int], dict[int, float]]]:
    """What pushes so many frames at the rate, and returns when each was, in Unix milliseconds."""
    number = 0
    with ts.LiveClient(url) as client:

        def push(count: int) -> dict[int, float]:
            nonlocal number
            pushed, due = {}, time.monotonic()
            for _ in range(count):
                latent = numbered_latent(ends, number)
                time.sleep(max(0.0, due - time.monotonic()))
                due += 1 / _RATE
                pushed[number] = 1000 * time.time()
                client.push(latent)
                number += 1
            return pushed

        yield push


def _latencies(
    seen: list[tuple[int, float, float]], pushed: dict[int, float], decode_ms: float
) -> FromPushToPixel:
    first: dict[int, tuple[float, float]] = {}
    for number, read, shown in seen:
        first.setdefault(number, (read, shown))
    known = [number for number in first if number in pushed]
    return FromPushToPixel(
        len(pushed),
        tuple(first[number][0] - pushed[number] for number in known),
        tuple(first[number][1] - pushed[number] for number in known),
        decode_ms,
    )


@contextmanager
def _watching(browser: Any, url: str, viewers: int) -> Iterator[None]:
    """Half of the viewers watch by WebRTC and half as JPEG."""
    for _ in range(max(0, viewers // 2 - 1)):
        browser.execute_script("window.open(arguments[0])", url)
    ended = threading.Event()
    for _ in range(viewers - viewers // 2):
        threading.Thread(target=_read_jpeg, args=(url, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _read_jpeg(url: str, ended: threading.Event) -> None:
    with urllib.request.urlopen(f"{url}stream.mjpg") as stream:
        while not ended.is_set() and stream.read1(1 << 16):
            pass


@dataclass(frozen=True, slots=True)
class _Server:
    """The server, as it is seen from outside.

    Attributes:
        process: Its process.
        url: Of its page.
    """

    process: psutil.Process
    url: str

    @property
    def held_mib(self) -> float:
        return float(self.process.memory_info().rss / _MIB)

    def __str__(self) -> str:
        status = json.load(urllib.request.urlopen(f"{self.url}status.json"))
        dropped = sum(each["dropped"] for each in status["viewers"])
        return (
            f"{self.held_mib:.0f} MiB, {self.process.num_threads()} threads,"
            f" {self.process.num_fds()} files; shown {status['shown']}, {status['fps']} a second,"
            f" {status['latency_ms']} ms until handed out; latents dropped {status['dropped']};"
            f" {len(status['viewers'])} viewers dropped {dropped} frames"
        )


def _soak(
    server: _Server,
    push: Callable[[int], dict[int, float]],
    seconds: int,
    say: Callable[[str], None],
) -> list[str]:
    """Push for some seconds, and look at the server meanwhile."""
    held, lines, began = list[float](), list[str](), time.monotonic()
    while time.monotonic() - began < seconds:
        push(_RATE * min(_REPORT_SECONDS, seconds))
        held.append(server.held_mib)
        lines.append(f"{time.monotonic() - began:5.0f} s: {server}")
        say(lines[-1])
    settled = held[len(held) // 5 :]
    lines.append(f"from {settled[0]:.0f} to {settled[-1]:.0f} MiB, most {max(settled):.0f}")
    return lines
