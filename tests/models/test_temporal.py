"""Layers that look back in time make of a video, in any runs of steps, what it is as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.operators import Operator
from taesd_stream.models.layers.pointwise import ReLU
from taesd_stream.models.layers.shuffles import PixelShuffle
from taesd_stream.models.layers.span import Span
from taesd_stream.models.layers.temporal import MemBlock, TimeGrow, TimePool
from taesd_stream.models.layers.tile_state import TileState
from taesd_stream.models.layers.upsampling import Upsample
from tests.convolution import counted_work
from tiling import Interval

properties = settings(max_examples=20, deadline=None, derandomize=True)

CHANNELS = 3
SIZE = 7
STEPS = 12


def initialised(layer: Layer, seed: int = 0) -> Layer:
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5, generator=generator)
    return layer.requires_grad_(False)


def block(channels: int = CHANNELS, *, rectified: bool = True) -> MemBlock:
    body = Chain([Conv(2 * channels, 5), ReLU(), Conv(5, channels, 1)])
    return MemBlock(body, rectified=rectified)


def decoder() -> Chain:
    layers = [block(), TimeGrow(3, 2), Upsample(2), Conv(3, 4), block(4), TimeGrow(4, 3)]
    return Chain([*layers, block(4, rectified=False), Conv(4, 2)])


def shuffled_decoder() -> Chain:
    """As in the wide models: a block follows the steps that one becomes at once."""
    layers = [block(rectified=False), Conv(3, 8), PixelShuffle(2), ReLU(), TimeGrow(2, 2)]
    return Chain([*layers, block(2, rectified=False), Conv(2, 3), TimeGrow(3, 2), block()])


def narrow_decoder() -> Chain:
    """What waits for its turn makes up much of what is held."""
    return Chain([TimeGrow(3, 3), Conv(3, 12), ReLU(), Conv(12, 1), block(1)])


def encoder() -> Chain:
    layers = [Conv(3, 4), TimePool(4, 3), Conv(4, 4, stride=2), block(4), TimePool(4, 2)]
    return Chain([*layers, block(4), TimePool(4, 1), Conv(4, 2)])


LAYERS: dict[str, Layer] = {
    name: initialised(layer, seed)
    for seed, (name, layer) in enumerate(
        {
            "block": block(),
            "block without relu": block(rectified=False),
            "two blocks": Chain([block(), block()]),
            "pool 1": TimePool(CHANNELS, 1),
            "pool 2": TimePool(CHANNELS, 2),
            "pool 3": TimePool(CHANNELS, 3),
            "grow 1": TimeGrow(CHANNELS, 1),
            "grow 2": TimeGrow(CHANNELS, 2),
            "grow 3": TimeGrow(CHANNELS, 3),
            "decoder": decoder(),
            "shuffled decoder": shuffled_decoder(),
            "narrow decoder": narrow_decoder(),
            "encoder": encoder(),
        }.items()
    )
}


def plain(layer: Layer, video: Tensor) -> Tensor:
    """What a layer makes of a whole video, (steps, C, h, w), written with torch's functions."""
    steps, channels = video.shape[:2]
    match layer:
        case MemBlock():
            before = torch.zeros_like(video)
            before[1:] = video[: steps - 1]
            made = plain(layer.conv, torch.cat([video, before], dim=1)) + video
            return made.relu() if layer.rectified else made
        case TimePool():
            stride = layer.time.stride
            groups = [
                torch.cat([video[first + step] for step in range(stride)])
                for first in range(0, steps - stride + 1, stride)
            ]
            return F.conv2d(torch.stack(groups), layer.conv.weight)
        case TimeGrow():
            grown = F.conv2d(video, layer.conv.weight)
            return torch.stack([part for step in grown for part in step.split(channels)])
        case Conv():
            padding = layer.weight.shape[-1] // 2
            return F.conv2d(video, layer.weight, layer.bias, layer.footprint.stride, padding)
        case ReLU():
            return video.relu()
        case PixelShuffle():
            return F.pixel_shuffle(video, layer.factor)
        case Upsample():
            return video.repeat_interleave(layer.factor, 2).repeat_interleave(layer.factor, 3)
        case Chain():
            for child in layer.children():
                assert isinstance(child, Layer)
                video = plain(child, video)
            return video
    raise TypeError(type(layer))


def a_video(steps: int = STEPS, size: int = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(steps)
    return torch.rand(steps, CHANNELS, size, size, generator=generator) - 0.5


def part_of(video: Tensor, rows: Span, columns: Span) -> Tensor:
    return video[:, :, rows.have.start : rows.have.stop, columns.have.start : columns.have.stop]


def in_runs(
    layer: Layer, video: Tensor, spans: tuple[Span, Span], cuts: Sequence[int], together: int
) -> Iterator[Tensor]:
    kept: Mapping[nn.Module, Tensor] = {}
    for start, stop in pairwise([0, *sorted(cuts), len(video)]):
        if start == stop:
            continue
        state = TileState(kept, together=together)
        before = {module: tensor.clone() for module, tensor in kept.items()}
        yield layer(part_of(video[start:stop].clone(), *spans), *spans, state)
        for module, tensor in before.items():
            assert torch.equal(kept[module], tensor)  # else the run could not be repeated
        kept = state.kept


@st.composite
def wanted(draw: st.DrawFn, size: int) -> Interval:
    start = draw(st.integers(0, size - 1))
    return Interval(start, draw(st.integers(start + 1, size)))


@pytest.mark.parametrize("name", LAYERS)
@properties
@given(
    data=st.data(),
    cuts=st.lists(st.integers(1, STEPS - 1), max_size=5),
    together=st.sampled_from([1, 2, 3, 100]),
)
def test_any_runs_of_steps_over_any_part_make_the_whole_video(
    name: str, data: st.DataObject, cuts: list[int], together: int
) -> None:
    layer, video = LAYERS[name], a_video()
    whole = plain(layer, video)
    y, x = data.draw(wanted(whole.shape[2])), data.draw(wanted(whole.shape[3]))
    spans = layer.span(y, SIZE), layer.span(x, SIZE)
    made = torch.cat([run for run in in_runs(layer, video, spans, cuts, together) if len(run)])
    expected = whole[:, :, y.start : y.stop, x.start : x.stop]
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-5)


def whole_spans(layer: Layer, size: int = SIZE) -> tuple[Span, Span]:
    span = layer.span(Interval(0, layer.out_size(size)), size)
    return span, span


def test_the_first_step_of_a_block_reads_zeros_and_the_next_one_the_first() -> None:
    layer = MemBlock(Chain([Conv(2, 1, 1, bias=False)]), rectified=False)
    layer.conv.get_submodule("0").weight = nn.Parameter(torch.tensor([0.0, 10]).view(1, 2, 1, 1))
    layer.requires_grad_(False)
    spans = whole_spans(layer, 1)
    video = torch.tensor([1.0, 2, 3]).view(3, 1, 1, 1)
    state = TileState()
    first = layer(video[:2], *spans, state)
    assert [*first.flatten(), *layer(video[2:], *spans, state).flatten()] == [1, 12, 23]
    assert layer(video[2:], *spans, TileState()).item() == 3  # another video remembers nothing


def test_a_pool_waits_until_it_is_full_and_then_forgets() -> None:
    layer, video = LAYERS["pool 3"], a_video(3)
    spans = whole_spans(layer)
    state = TileState()
    for count in (1, 2):
        assert layer(video[count - 1 : count], *spans, state).shape[0] == 0
        torch.testing.assert_close(state.kept[layer], video[:count], atol=0, rtol=0)
    made = layer(video[2:], *spans, state)
    torch.testing.assert_close(made, plain(layer, video), atol=1e-6, rtol=0)
    assert state.kept == {}


def test_what_follows_a_pool_that_waits_is_not_asked_and_keeps_what_it_had() -> None:
    layer = LAYERS["encoder"]
    assert isinstance(layer, Chain)
    spans = whole_spans(layer)
    state = TileState()
    assert layer(a_video(3), *spans, state).shape[0] == 0
    reached = set(state.kept)
    assert len(reached) == 2  # a block and the second pool; the first pool is empty again
    later = TileState(state.kept)
    assert layer(a_video(1), *spans, later).shape[0] == 0
    assert set(later.kept) == reached | {next(each for each in layer.children() if each.kept_steps)}
    for module in reached:
        assert later.kept[module] is state.kept[module]


def test_steps_grow_in_the_order_of_their_channels() -> None:
    layer = TimeGrow(2, 3)
    numbers = torch.arange(6.0)
    layer.conv.weight = nn.Parameter(numbers.view(6, 1, 1, 1).repeat(1, 2, 1, 1), False)
    spans = whole_spans(layer, 1)
    video = torch.tensor([1.0, 10.0]).view(2, 1, 1, 1) * torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    made = layer(video, *spans, TileState())
    assert made.flatten(1).tolist() == [[0, 1], [2, 3], [4, 5], [0, 10], [20, 30], [40, 50]]


@pytest.mark.parametrize("name", ["block", "pool 3", "decoder", "shuffled decoder", "encoder"])
@pytest.mark.parametrize("together", [1, 100])
def test_no_more_is_kept_alive_than_what_is_remembered(name: str, together: int) -> None:
    """A view of a batch would hold all of its steps."""
    layer = LAYERS[name]
    state = TileState(together=together)
    layer(a_video(5), *whole_spans(layer), state)
    assert state.kept
    for tensor in state.kept.values():
        assert tensor.untyped_storage().nbytes() == tensor.numel() * 4


@pytest.mark.parametrize("name", ["decoder", "shuffled decoder", "encoder"])
@properties
@given(data=st.data(), steps=st.integers(1, STEPS))
def test_what_is_kept_lies_where_the_chain_says_and_is_no_more(
    name: str, data: st.DataObject, steps: int
) -> None:
    layer = LAYERS[name]
    assert isinstance(layer, Chain)
    made = layer.out_size(SIZE)
    rows = layer.span(data.draw(wanted(made)), SIZE)
    columns = layer.span(data.draw(wanted(made)), SIZE)
    state = TileState()
    layer(part_of(a_video(steps), rows, columns), rows, columns, state)
    told = {each.layer: each for each in layer.state_regions(rows, columns, CHANNELS)}
    assert set(state.kept) <= set(told)
    for module, tensor in state.kept.items():
        one = told[module]  # type: ignore[index]
        assert tensor.shape[1:] == one.shape
        assert tensor.numel() <= one.elements
        assert tensor.shape[0] <= one.layer.kept_steps


def watched(
    layer: Layer, number: int, calls: list[tuple[int, int]]
) -> Callable[..., Iterator[Operator]]:
    """The operators of a layer, after one that notes how many steps it is given."""
    operators = layer.operators

    def note(tensor: Tensor, state: TileState, /) -> Tensor:
        calls.append((number, len(tensor)))
        return tensor

    def watching(*args: Any, **kwargs: Any) -> Iterator[Operator]:
        yield note
        yield from operators(*args, **kwargs)

    return watching


def test_later_layers_take_the_steps_that_one_becomes_in_turn() -> None:
    layer = LAYERS["decoder"]
    seen: dict[int, list[tuple[int, int]]] = {}
    for together in (1, 2, 100):
        calls = seen.setdefault(together, [])
        with pytest.MonkeyPatch.context() as patch:
            for number, child in enumerate(layer.children()):
                assert isinstance(child, Layer)
                patch.setattr(child, "operators", watched(child, number, calls))
            layer(a_video(2), *whole_spans(layer), TileState(together=together))
    first_then_second = [(2, 1), (3, 1), (4, 1), (5, 1), *[(6, 1), (7, 1)] * 3]
    assert seen[1] == [(0, 2), (1, 2), *first_then_second * 4]
    assert seen[2] == [(0, 2), (1, 2), *[(2, 2), (3, 2), (4, 2), (5, 2), *[(6, 2), (7, 2)] * 3] * 2]
    assert seen[100] == [(number, steps) for number, steps in enumerate([2, 2, 4, 4, 4, 4, 12, 12])]


@pytest.mark.parametrize("name", LAYERS)
@settings(properties, max_examples=10)
@given(data=st.data(), together=st.sampled_from([1, 4]))
def test_work_is_what_the_convolutions_multiply(
    name: str, data: st.DataObject, together: int
) -> None:
    layer = LAYERS[name]
    span = layer.span(data.draw(wanted(layer.out_size(SIZE))), SIZE)
    video = part_of(a_video(6), span, span)  # all pools are filled
    with counted_work() as counted:
        layer(video, span, span, TileState(together=together))
    extents = list(layer.extents(span))
    parts = zip(layer.work(CHANNELS), extents, strict=True)
    work = sum(part.multiplied * extent**2 for part, extent in parts)
    assert 6 * work == counted.done


def kept_elements(layer: Layer, rows: Span, columns: Span) -> int:
    """The most that a layer keeps: what a plan counts besides the peak."""
    one = layer if isinstance(layer, Chain) else Chain([layer])
    return sum(kept.elements for kept in one.state_regions(rows, columns, CHANNELS))


@pytest.mark.parametrize("name", LAYERS)
@settings(properties, max_examples=15)
@given(data=st.data(), size=st.integers(6, 17), steps=st.integers(1, 6))
def test_peak_is_no_less_than_what_is_really_held_step_by_step(
    name: str,
    data: st.DataObject,
    size: int,
    steps: int,
    live_elements: Callable[[Tensor], Any],
) -> None:
    layer = LAYERS[name]
    made = layer.out_size(size)
    rows, columns = layer.span(data.draw(wanted(made)), size), layer.span(Interval(0, made), size)
    kept: Mapping[nn.Module, Tensor] = {}
    for step in a_video(steps, size):
        video = part_of(step[None], rows, columns).to(memory_format=torch.channels_last).clone()
        state = TileState(kept)
        with live_elements(video) as live:
            layer(video, rows, columns, state)
        kept = state.kept
        allowed = layer.peak(rows, columns, CHANNELS) + kept_elements(layer, rows, columns)
        assert 0 < live.most <= allowed


@pytest.mark.parametrize("name", LAYERS)
@settings(properties, max_examples=15)
@given(size=st.integers(6, 17), steps=st.integers(1, 6))
def test_peak_is_no_less_than_what_is_really_held_all_at_once(
    name: str, size: int, steps: int, live_elements: Callable[[Tensor], Any]
) -> None:
    layer = LAYERS[name]
    rows, columns = whole_spans(layer, size)
    video = a_video(steps, size).to(memory_format=torch.channels_last)
    with live_elements(video) as live:
        layer(video, rows, columns, TileState(together=steps))
    allowed = steps * layer.peak(rows, columns, CHANNELS) + kept_elements(layer, rows, columns)
    assert 0 < live.most <= allowed
