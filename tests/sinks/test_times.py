"""When frames are shown: at the times at which they came, or at a rate all the same."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from taesd_stream.sinks.latent_decoding import LatentDecoding
from taesd_stream.sinks.queueing import Queueing
from tests.sinks.taking import frames, read, times_of

CAME = (1000.0, 1000.013, 1000.5, 1003.25, 1003.26)


def clock() -> Iterator[float]:
    yield from CAME


@pytest.mark.parametrize(("name", "tick"), [("a.mp4", 90_000), ("a.mkv", 1000)])
def test_frames_are_shown_when_they_came(name: str, tick: int, tmp_path: Path) -> None:
    given = frames(len(CAME))
    with ts.VideoSink(tmp_path / name, fps="live", lossless=True, clock=clock().__next__) as sink:
        for frame in given:
            sink.write(frame)
    np.testing.assert_array_equal(read(tmp_path / name), given)
    expected = [Fraction(round((at - CAME[0]) * tick), tick) for at in CAME]
    assert times_of(tmp_path / name) == expected


def test_latents_are_shown_when_they_were_pushed(tmp_path: Path) -> None:
    ae = ts.load("latent2rgb", device="cpu")
    with ts.VideoSink(tmp_path / "a.mp4", model=ae, fps="live", clock=clock().__next__) as sink:
        for _ in CAME:
            sink.push(torch.zeros(4, 2, 2))
    assert times_of(tmp_path / "a.mp4") == [
        Fraction(round((at - CAME[0]) * 90_000), 90_000) for at in CAME
    ]


def test_frames_are_repeated_and_left_out_at_a_constant_rate(tmp_path: Path) -> None:
    given = frames(len(CAME))
    with ts.VideoSink(
        [tmp_path / "a.mkv", tmp_path / "p"],
        fps="live",
        constant_rate=10,
        lossless=True,
        clock=clock().__next__,
    ) as sink:
        for frame in given:
            sink.write(frame)
    # The second came within the first one's tenth of a second; the others at 0.5, 3.2 and 3.3 s.
    shown = [0] * 5 + [2] * 27 + [3, 4]
    assert times_of(tmp_path / "a.mkv") == [Fraction(number, 10) for number in range(34)]
    for found in (tmp_path / "a.mkv", tmp_path / "p"):
        np.testing.assert_array_equal(read(found), [given[number] for number in shown])
    assert [(each.written, each.dropped) for each in sink.counts.targets] == [(4, 1)] * 2


class InChunks:
    """A stand-in for a stream whose model makes four frames of every second latent, late."""

    def __init__(self) -> None:
        self.came: list[int] = []
        self.closed = False

    def take(self, latent: Tensor) -> Iterator[Tensor]:
        self.came.append(int(latent[0, 0, 0]))
        if len(self.came) % 2:
            return
        for number in range(4):
            yield torch.tensor([self.came[-2] * 10 + number])

    def finish(self) -> Iterator[Tensor]:
        yield torch.tensor([99])

    def __enter__(self) -> InChunks:
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True


@pytest.mark.parametrize("is_timed", [True, False])
def test_frames_of_a_latent_are_spread_and_its_tail_comes_at_the_end(is_timed: bool) -> None:
    delivered: list[tuple[int, float | None]] = []
    stream = InChunks()
    decoding = LatentDecoding(
        ts.load("latent2rgb", device="cpu").spec,
        stream,
        Queueing(),
        lambda image, at: delivered.append((int(image), at)),
        is_timed=is_timed,
    )
    for number in range(4):
        decoding.push(torch.full((4, 1, 1), float(number)), 50.0 + number * 2)
    decoding.finish()
    assert stream.came == [0, 1, 2, 3]
    assert stream.closed
    assert [number for number, _ in delivered] == [0, 1, 2, 3, 20, 21, 22, 23, 99]
    found = [at for _, at in delivered]
    if is_timed:
        assert found[3:] == [52.0, 53.0, 54.0, 55.0, 56.0, 57.0]
        assert found == sorted(found)
    else:
        assert found == [52.0] * 4 + [56.0] * 4 + [None]
