"""Some frames of a video: those of the whole video, read from no more latents than they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.streams.decode_stream import Frame
from taesd_stream.latents.source import StoredSource

Models = Callable[..., ts.AutoEncoder]


@pytest.fixture(scope="session")
def model(narrow: Models) -> Models:
    """Narrow ones: nothing here depends on how wide layers are."""
    return narrow


COUNTS = {"taesdv": 13, "taehv": 11, "taecvx": 11, "taeh3": 12}
SLICES = [
    slice(0, 1),
    slice(0, 3),
    slice(None, 7),
    slice(9, 11),
    slice(8, None, 5),
    slice(10, 12),
    slice(-1, None),
    slice(-4, None, 2),
    slice(3, -3, 4),
]


class Reads(list[Tensor]):
    """A list of latents that notes which of them are read."""

    def __init__(self, latents: Tensor) -> None:
        super().__init__(latents)
        self.numbers: list[int] = []

    def __getitem__(self, number: int) -> Tensor:  # type: ignore[override]
        self.numbers.append(number)
        return super().__getitem__(number)


def latents_for(ae: ts.AutoEncoder, count: int, plane: tuple[int, int] = (2, 3)) -> Tensor:
    shape = (count, ae.spec.latent_channels, *plane)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def check_same_video(frames: list[Frame], expected: list[Frame]) -> None:
    assert len(frames) == len(expected)
    error = np.abs(np.stack(frames).astype(int) - np.stack(expected))
    assert error.max() <= 1
    assert (error == 0).mean() > 0.999


@pytest.mark.parametrize("name", COUNTS)
def test_frames_wherever_they_are_equal_those_of_the_whole_video(name: str, model: Models) -> None:
    ae = model(name)
    reads = Reads(latents_for(ae, COUNTS[name]))
    every = list(ae.stream(reads))
    assert reads.numbers == list(range(COUNTS[name]))
    for frames in SLICES:
        reads.numbers.clear()
        check_same_video(list(ae.stream(reads, frames=frames)), every[frames])
        check_latents_read(ae, reads, range(len(every))[frames])


def check_latents_read(ae: ts.AutoEncoder, reads: Reads, frames: range) -> None:
    timing, total = ae.spec.timing, len(reads)
    of_first, of_last = (timing.raw(n, total) // timing.growth for n in (frames[0], frames[-1]))
    first = reads.numbers[0]
    assert reads.numbers == list(range(first, of_last + 1))
    assert max(0, of_first - ae.spec.latents_back) <= first <= of_first


@pytest.mark.parametrize("name", COUNTS)
def test_the_spec_says_how_many_latents_back_are_read(name: str, model: Models) -> None:
    ae = model(name)
    reads = Reads(latents_for(ae, COUNTS[name], (1, 1)))
    back = 0
    timing, total = ae.spec.timing, len(reads)
    for frame in range(timing.frames(total) - 2 * timing.growth, timing.frames(total)):
        reads.numbers.clear()
        next(ae.stream(reads, frames=slice(frame, frame + 1)))
        back = max(back, reads.numbers[-1] - reads.numbers[0])
    assert back == ae.spec.latents_back


@pytest.mark.parametrize("name", ["taesdv", "taehv"])
def test_a_frame_depends_on_latents_just_as_far_back_as_the_spec_says(
    name: str, model: Models
) -> None:
    """Here the network is asked, in more digits than bytes have."""
    ae = model(name)
    back, growth = ae.spec.latents_back, ae.spec.temporal_scale
    latents = latents_for(ae, back + 3, (1, 1))
    plain = ae.decode(latents[None])[0]
    latents[1] += 3
    changed = ae.decode(latents[None])[0]
    raw = (plain != changed).flatten(1).any(1).nonzero().flatten() + ae.spec.timing.raw(0, None)
    assert {int(number) // growth for number in raw} == set(range(1, back + 2))


@pytest.mark.parametrize("name", ["taesdv", "taehv", "taeh3"])
def test_windows_of_whatever_holds_latents(name: str, model: Models, tmp_path: Path) -> None:
    ae = model(name)
    latents = latents_for(ae, 9)
    torch.save(latents, tmp_path / "z.pt")
    video = list(ae.stream(latents))
    middle, end = slice(6, 8), slice(8, None)
    with ts.open_latents(tmp_path / "z.pt") as source:
        for holder in (latents, list(latents), iter(latents), source):
            check_same_video(list(ae.stream(holder, frames=middle)), video[middle])
        check_same_video(list(ae.stream(source, frames=end, ahead=64)), video[end])
        check_same_video(list(ae.stream(source, frames=end, tile=1)), video[end])
        for frames in (middle, end):
            assert ae.open_video(source, frames=frames).plan.frames == len(video[frames])


def test_a_file_is_read_where_it_is_needed(
    model: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae = model("taehv")
    np.save(tmp_path / "z.npy", latents_for(ae, 40).numpy())
    numbers: list[int] = []
    copy = StoredSource.copy_latents

    def noting(source: StoredSource, out: Tensor, first: int, *region: tuple[slice, slice]) -> None:
        numbers.extend(range(first, first + len(out)))
        copy(source, out, first, *region)

    monkeypatch.setattr(StoredSource, "copy_latents", noting)
    with ts.open_latents(tmp_path / "z.npy") as source:
        (frame,) = ae.stream(source, frames=slice(117, 118))
    assert frame.shape == (16, 24, 3)
    assert numbers == list(range(30 - ae.spec.latents_back, 31))


def test_an_iterator_is_read_to_the_end_of_the_frames_and_no_further(model: Models) -> None:
    ae = model("taehv")
    taken = 0

    def source() -> Iterator[Tensor]:
        nonlocal taken
        for latent in latents_for(ae, 20, (1, 2)):
            taken += 1
            yield latent

    assert len(list(ae.stream(source(), frames=slice(40, 42)))) == 2
    assert taken == 12


@pytest.mark.parametrize("name", ["taehv", "taecvx"])
@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (slice(None, None, -1), "expected numbers that rise, .*found ::-1"),
        (slice(40, None), "expected some of the 21 frames, from 0 up, found none in 40:"),
        (slice(3, 3), "found none in 3:3"),
    ],
)
def test_frames_that_cannot_be_had(name: str, frames: slice, said: str, model: Models) -> None:
    ae = model(name)
    count = 6 if name == "taehv" else 7
    said = said.replace("21", str(ae.spec.timing.frames(count)))
    with pytest.raises(ts.InputError, match=said) as caught:
        ae.stream(latents_for(ae, count), frames=frames)
    assert "\n" not in str(caught.value)


def test_frames_beyond_the_end_of_an_iterator(model: Models) -> None:
    ae = model("taehv")
    assert list(ae.stream(iter(latents_for(ae, 3)), frames=slice(20, 30))) == []
    with pytest.raises(ts.InputError, match="numbers from 0 up where the number of frames is unk"):
        ae.stream(iter(latents_for(ae, 3)), frames=slice(-2, None))
