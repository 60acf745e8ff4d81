"""The frames that are wanted, and just the latents that they are made of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import lru_cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from taesd_stream.engine.streams.frame_windows import (
    Window,
    check_enough,
    chosen_frames,
    count_of,
    window_of,
    windows_of,
)
from taesd_stream.errors import InputError
from taesd_stream.latents.source import StoredSource
from taesd_stream.latents.tensors import TensorStore
from taesd_stream.models import ModelSpec, Network, empty_network, spec_of, variant_named

properties = settings(max_examples=40, deadline=None, derandomize=True)

VIDEO = ["taesdv", "taehv", "taecvx", "taeh3", "taem1", "taeltx_2"]

steps = st.one_of(st.none(), st.integers(1, 5))
indices = st.one_of(st.none(), st.integers(-130, 130))
from_start = st.one_of(st.none(), st.integers(0, 130))


@lru_cache
def outlined(name: str) -> tuple[Network, ModelSpec]:
    variant = variant_named(name)
    decoder = empty_network(variant.decoder)
    return decoder, spec_of(variant, None, decoder)


def own_latent(spec: ModelSpec, frame: int, total: int | None) -> int:
    return spec.timing.raw(frame, total) // spec.timing.growth


@pytest.mark.parametrize("name", VIDEO)
@properties
@given(total=st.integers(1, 30), frames=st.builds(slice, indices, indices, steps))
def test_a_window_is_of_the_frames_that_python_would_slice(
    name: str, total: int, frames: slice
) -> None:
    network, spec = outlined(name)
    if total < spec.timing.least or not range(spec.timing.frames(total))[frames]:
        with pytest.raises(InputError):
            window_of(network, spec, total, frames)
    else:
        window = window_of(network, spec, total, frames)
        assert window.frames == range(spec.timing.frames(total))[frames]


@pytest.mark.parametrize("name", VIDEO)
@properties
@given(data=st.data(), total=st.integers(2, 40), step=steps)
def test_a_window_holds_what_its_frames_are_made_of_and_no_more(
    name: str, data: st.DataObject, total: int, step: int | None
) -> None:
    network, spec = outlined(name)
    count = spec.timing.frames(total)
    start = data.draw(st.integers(0, count - 1))
    frames = slice(start, data.draw(st.integers(start + 1, count)), step)
    window = window_of(network, spec, total, frames)
    assert window.frames == range(count)[frames]
    assert window.frame_count == len(window.frames)
    assert (window.total, window.offset, window.latents.step) == (total, 0, 1)
    first, last = (own_latent(spec, window.frames[end], total) for end in (0, -1))
    assert max(0, first - spec.latents_back) <= window.latents.start <= first
    assert window.latents.stop == last + 1
    # The first frame that a latent makes reaches back farthest.
    if spec.timing.raw(window.frames[0], total) % spec.timing.growth == 0:
        assert window.latents.start == max(0, first - spec.latents_back)


@pytest.mark.parametrize("name", VIDEO)
@properties
@given(first=st.integers(0, 200), count=st.integers(1, 40), step=steps)
def test_of_an_unknown_number_no_more_latents_are_taken_than_it_takes_to_know(
    name: str, first: int, count: int, step: int | None
) -> None:
    network, spec = outlined(name)
    window = window_of(network, spec, None, slice(first, first + count, step))
    assert window.frames == range(first, first + count, step or 1)
    assert window.total is None
    if spec.timing.needs_total:
        assert window.latents == range(sys.maxsize)  # all of them: their number decides
        return
    last = own_latent(spec, window.frames[-1], None)
    assert spec.timing.ready(window.latents.stop, None) > last
    assert spec.timing.ready(window.latents.stop - 1, None) <= last
    one = own_latent(spec, first, None)
    assert max(0, one - spec.latents_back) <= window.latents.start <= one


@pytest.mark.parametrize("name", VIDEO)
def test_without_an_end_a_window_has_none(name: str) -> None:
    network, spec = outlined(name)
    for frames in (None, slice(0, None)):
        window = window_of(network, spec, None, frames)
        assert window.frame_count is None
        assert window.latents.start == 0
        assert len(window.latents) > 10**9
    assert window_of(network, spec, 22, None).latents == range(22)
    assert window_of(network, spec, 0, None).frame_count == 0


@properties
@given(total=st.integers(1, 30), frames=st.builds(slice, indices, indices, steps))
def test_pictures_need_their_own_latents_alone(total: int, frames: slice) -> None:
    network, spec = outlined("taesd")
    wanted = range(total)[frames]
    if not wanted:
        with pytest.raises(InputError, match="found none in"):
            window_of(network, spec, total, frames)
    else:
        window = window_of(network, spec, total, frames)
        assert window.frames == window.latents == wanted


def test_frames_in_falling_order_are_for_pictures_alone() -> None:
    network, spec = outlined("taesd")
    assert list(window_of(network, spec, 5, slice(3, 0, -1)).latents) == [3, 2, 1]
    network, spec = outlined("taehv")
    with pytest.raises(InputError, match=r"numbers that rise.*found 3:0:-1$"):
        window_of(network, spec, 5, slice(3, 0, -1))


@pytest.mark.parametrize(
    ("total", "frames", "complaint"),
    [
        (None, slice(-3, None), "from 0 up where the number of frames is unknown, found -3:"),
        (None, slice(0, -1), "from 0 up where the number of frames is unknown, found 0:-1"),
        (None, slice(5, 0, -1), "from 0 up where the number of frames is unknown, found 5:0:-1"),
        (None, slice(5, 5), "expected some of frames, the first being 0, found none in 5:5"),
        (7, slice(7, None), "expected some of the 7 frames, from 0 up, found none in 7:"),
        (7, slice(3, 2), "expected some of the 7 frames, from 0 up, found none in 3:2"),
    ],
)
def test_frames_that_cannot_be_are_refused_and_quoted(
    total: int | None, frames: slice, complaint: str
) -> None:
    with pytest.raises(InputError) as caught:
        chosen_frames(total, frames)
    assert str(caught.value).startswith("frames: ")
    assert str(caught.value).endswith(complaint)


def test_too_few_latents_are_refused_with_the_fewest_there_can_be() -> None:
    network, spec = outlined("taeh3")
    said = "latents: expected at least 2, found 1: taeh3 makes its first 5 frames of 2 latents"
    for refused in (
        lambda: window_of(network, spec, 1, None),
        lambda: check_enough(spec, 1),
    ):
        with pytest.raises(InputError, match=said):
            refused()
    check_enough(spec, 2)
    check_enough(spec, None)


def source_of(clips: int, length: int) -> StoredSource:
    numbers = torch.arange(float(clips * length)).view(clips, length, 1, 1, 1)
    store = TensorStore(numbers.expand(-1, -1, 4, 2, 3), "here")
    return StoredSource(store, "N T C H W", name="here", kind="memory")


@pytest.mark.parametrize("name", ["taesdv", "taehv", "taecvx", "taeh3", "taesd"])
@properties
@given(
    clips=st.integers(1, 4),
    length=st.integers(2, 9),
    frames=st.one_of(st.none(), st.builds(slice, indices, indices, steps)),
)
def test_clips_follow_each_other_and_remember_nothing_of_each_other(
    name: str, clips: int, length: int, frames: slice | None
) -> None:
    network, spec = outlined(name)
    source = source_of(clips, length)
    each = spec.timing.frames(length)
    wanted = range(clips * each)[frames or slice(None)]
    if not wanted:
        with pytest.raises(InputError, match="found none in"):
            windows_of(network, spec, source, frames)
        return
    windows = windows_of(network, spec, source, frames)
    if name == "taesd":
        assert [window.frames for window in windows] == [wanted]
        return
    found = []
    for window in windows:
        clip, begins_within = divmod(window.offset, length)
        assert begins_within == 0
        assert window.total == length
        found += [frame + clip * each for frame in window.frames]
        numbers = [int(latent[0, 0, 0]) for latent in window.select(source)]
        assert numbers == [window.offset + latent for latent in window.latents]
    assert found == list(wanted)


def counted(latents: Tensor, read: list[int]) -> Iterator[Tensor]:
    for number, latent in enumerate(latents):
        read.append(number)
        yield latent


def test_an_iterator_is_read_no_further_than_needed() -> None:
    latents = torch.arange(9.0).view(9, 1, 1, 1)
    window = Window(range(2, 4), range(3, 6), None)
    read: list[int] = []
    assert [int(one) for one in window.select(counted(latents, read))] == [3, 4, 5]
    assert read == [0, 1, 2, 3, 4, 5]


def test_what_can_be_indexed_is_read_where_it_is_needed() -> None:
    latents = torch.arange(9.0).view(9, 1, 1, 1)
    window = Window(range(2, 4), range(3, 6), 9)
    assert [int(one) for one in window.select(latents)] == [3, 4, 5]
    holes: list[Tensor] = [latents[n] if 3 <= n < 6 else torch.empty(0) for n in range(9)]
    assert [int(one) for one in window.select(holes)] == [3, 4, 5]


def test_latents_are_counted_where_that_reads_none() -> None:
    latents = torch.zeros(9, 1, 2, 2)
    assert count_of(latents) == 9
    assert count_of(list(latents)) == 9
    assert count_of(source_of(2, 3)) == 6
    assert count_of(iter(latents)) is None
    assert count_of(torch.zeros(())) is None


def test_the_workload_of_a_window_tells_what_comes() -> None:
    network, spec = outlined("taehv")
    workload = window_of(network, spec, 10, slice(9, 17)).workload(4)
    assert (workload.steps, workload.pictures, workload.ahead) == (5, 8, 4)
    open_ended = window_of(network, spec, None, None).workload(1)
    assert (open_ended.steps, open_ended.pictures, open_ended.has_place) == (None, None, False)
