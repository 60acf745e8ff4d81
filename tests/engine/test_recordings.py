"""Recordings of kinds of tiles make what operators make one by one, within their room.

A stand-in records and replays on the CPU what CUDA graphs do on a GPU.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import TypeVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks.decoders.ours import computed_by
from benchmarks.graph_stand_in import GraphStandIn
from taesd_stream.engine.backends import eager
from taesd_stream.engine.backends.recorded import RecordedBackend
from taesd_stream.engine.running.executor import Executor
from taesd_stream.models.network import Network
from tests.engine.conftest import Models
from tests.engine.video_networks import (
    ON_CPU,
    Part,
    Way,
    a_video,
    architectures,
    network_of,
    properties,
    ways,
)
from tests.plans import plan_for
from tiling import Block, Size

T = TypeVar("T")
AMPLE = 1 << 30

PICTURES = [
    Part("conv", 2, 3),
    Part("relu", 3, 3),
    Part("up", 3, 3, 2),
    Part("conv", 3, 4),
    Part("conv", 4, 2),
]


@pytest.fixture
def stand_in() -> GraphStandIn:
    return GraphStandIn()


class Failing(GraphStandIn):
    """Fails at the first recordings with these errors; None lets one succeed."""

    def __init__(self, errors: Sequence[BaseException | None]) -> None:
        super().__init__()
        self.errors = list(errors)

    def record(self, run: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        made = super().record(run)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return made


def run_of(
    network: Network,
    source: Tensor,
    way: Way,
    backend: RecordedBackend | None,
    room_bytes: int,
) -> Iterator[tuple[Block, Tensor]]:
    plan = plan_for(
        network,
        way.tile,
        way.batch,
        segment=way.segment,
        storage=way.storage,
        recorded_bytes=room_bytes,
    )
    return Executor(network, ON_CPU, plan, backend).run(source)


def assert_recorded_equals_eager(
    network: Network,
    source: Tensor,
    ways: Sequence[Way],
    backend: RecordedBackend,
    room_bytes: int = AMPLE,
) -> None:
    for way in ways:
        expected = list(run_of(network, source, way, None, 0))
        found = list(run_of(network, source, way, backend, room_bytes))
        assert [block for block, _ in found] == [block for block, _ in expected]
        for (_, tile), (_, truth) in zip(found, expected, strict=True):
            assert torch.equal(tile, truth)


def undivided(steps: int, batch: int = 1) -> Way:
    return Way(steps, Size(9, 9), batch, 1, "device", moves=False)


@pytest.mark.parametrize("direction", ["decoder", "encoder"])
@settings(properties, max_examples=5)
@given(data=st.data())
def test_videos_are_the_same_to_the_bit(direction: str, data: st.DataObject) -> None:
    network = network_of(data.draw(architectures(direction)))  # type: ignore[arg-type]
    plane = data.draw(st.builds(Size, st.integers(3, 6), st.integers(3, 6)))
    video = a_video(network, data.draw(st.integers(3, 5)), plane)
    chosen = data.draw(st.lists(ways, min_size=1, max_size=2))
    room = data.draw(st.sampled_from([AMPLE, 20_000, 2_000]))
    stand_in = GraphStandIn()
    backend = RecordedBackend(stand_in)
    assert_recorded_equals_eager(network, video, chosen * 3, backend, room)
    assert stand_in.held_bytes <= room


def test_every_kind_of_tile_is_recorded_once(stand_in: GraphStandIn) -> None:
    network = network_of(PICTURES)
    pictures = a_video(network, 4, Size(9, 9))
    way = replace(undivided(4), tile=Size(3, 3))
    assert_recorded_equals_eager(network, pictures, [way] * 3, RecordedBackend(stand_in))
    assert stand_in.records == 9  # corners, borders, and what is inside
    assert stand_in.replays == 3 * 4 * 9 - 2 * 9  # all but the first two of each


def test_a_stream_replays_one_recording_for_each_state_it_is_in(stand_in: GraphStandIn) -> None:
    network = network_of([Part("pool", 2, 2, 3), Part("memory", 2, 2, 2), Part("conv", 2, 1)])
    video = a_video(network, 24, Size(4, 5))
    backend = RecordedBackend(stand_in)
    assert_recorded_equals_eager(network, video, [undivided(24)], backend)
    # The pool waits with none, one or two steps; the block remembers nothing at first.
    assert stand_in.records == 3
    assert stand_in.replays == 24 - 3 - 3 * 2


def test_without_room_nothing_is_recorded(stand_in: GraphStandIn) -> None:
    network = network_of(PICTURES)
    pictures = a_video(network, 6, Size(9, 9))
    assert_recorded_equals_eager(network, pictures, [undivided(6)], RecordedBackend(stand_in), 0)
    assert stand_in.records == 0


def test_what_is_larger_than_its_room_is_let_go_and_not_tried_again_soon(
    stand_in: GraphStandIn,
) -> None:
    network = network_of(PICTURES)
    pictures = a_video(network, 40, Size(9, 9))
    backend = RecordedBackend(stand_in)
    assert_recorded_equals_eager(network, pictures, [undivided(40)], backend, 5_000)
    assert (stand_in.records, stand_in.replays, stand_in.held_bytes) == (1, 0, 0)


def test_kinds_that_come_no_more_make_room(stand_in: GraphStandIn) -> None:
    network = network_of(PICTURES)
    backend = RecordedBackend(stand_in)
    before = a_video(network, 8, Size(9, 9))
    assert_recorded_equals_eager(network, before, [undivided(8)], backend)
    room = stand_in.held_bytes + 100
    after = a_video(network, 300, Size(8, 9))
    assert_recorded_equals_eager(network, after, [undivided(300)], backend, room)
    assert stand_in.records == 2
    assert stand_in.replays > 6 + 20
    assert stand_in.held_bytes <= room


def test_memory_that_runs_out_while_recording_is_given_back_and_work_goes_on() -> None:
    network = network_of(PICTURES)
    pictures = a_video(network, 12, Size(9, 9))
    failing = Failing([None, torch.OutOfMemoryError("CUDA out of memory")])
    backend = RecordedBackend(failing)
    halves = replace(undivided(12), tile=Size(9, 5))
    assert_recorded_equals_eager(network, pictures, [halves], backend)
    assert failing.records == 3  # both halves, and the first one anew after all was let go
    assert failing.held_bytes > 0


def failing_once(does: Callable[..., Tensor], at: int) -> Callable[..., Tensor]:
    """Does the same; at one of its calls memory runs out when all is done."""
    calls = count(1)

    def failing(*given: object, **named: object) -> Tensor:
        made = does(*given, **named)
        if next(calls) == at:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return made

    return failing


@pytest.mark.parametrize(
    ("owner", "name", "batch"),
    [(Tensor, "clone", 2), (eager._Kernel, "__call__", 1)],
    ids=["in a replay", "beside recordings"],
)
def test_memory_that_runs_out_is_sought_in_recordings_before_tiles_shrink(
    stand_in: GraphStandIn,
    owner: type,
    name: str,
    batch: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = network_of([Part("memory", 2, 2, 2), Part("grow", 2, 2, 2), Part("conv", 2, 1)])
    video = a_video(network, 18, Size(4, 5))
    backend = RecordedBackend(stand_in)
    in_pairs = replace(undivided(18, batch=2), segment=2)
    assert_recorded_equals_eager(network, video, [in_pairs], backend)
    assert stand_in.held_bytes > 0
    way = replace(undivided(18, batch), segment=batch)
    expected = list(run_of(network, video, way, None, 0))
    monkeypatch.setattr(owner, name, failing_once(getattr(owner, name), at=2))
    records = stand_in.records
    found = list(run_of(network, video, way, backend, AMPLE))
    assert stand_in.records > records  # anew, after all was let go
    assert [block for block, _ in found] == [block for block, _ in expected]
    for (_, tile), (_, truth) in zip(found, expected, strict=True):
        assert torch.equal(tile, truth)


def test_where_recording_fails_it_is_said_once_and_operators_run_one_by_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = network_of(PICTURES)
    pictures = a_video(network, 8, Size(9, 9))
    failing = Failing([RuntimeError("CUDA error: operation not permitted\nwhen capturing")] * 9)
    backend = RecordedBackend(failing)
    halves = replace(undivided(8), tile=Size(9, 5))
    with caplog.at_level(logging.WARNING, "taesd_stream"):
        assert_recorded_equals_eager(network, pictures, [halves] * 2, backend)
    (said,) = caplog.messages
    assert "operation not permitted" in said
    assert "\n" not in said
    assert failing.records == 1
    assert failing.held_bytes == 0


def test_a_recorded_model_decodes_and_streams_as_another_one(
    model: Models, stand_in: GraphStandIn
) -> None:
    ae = model("taehv")
    recorded = computed_by(ae, lambda: RecordedBackend(stand_in))
    video = torch.randn(1, 12, ae.spec.latent_channels, 3, 4)
    assert "recorded in" in str(recorded.plan(video.shape))
    with torch.inference_mode():
        assert torch.equal(recorded.decode(video), ae.decode(video))
    assert torch.equal(recorded.decode(video), ae.decode(video))
    frames = zip(recorded.stream(video[0]), ae.stream(video[0]), strict=True)
    assert all((ours == theirs).all() for ours, theirs in frames)
    assert stand_in.replays > 6


def test_threads_take_turns(model: Models, stand_in: GraphStandIn) -> None:
    ae = model("taesd")
    recorded = computed_by(ae, lambda: RecordedBackend(stand_in))
    pictures = torch.randn(24, 1, 4, 3, 4)
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(recorded.decode, pictures))
    assert all(map(torch.equal, made, map(ae.decode, pictures)))
    assert stand_in.replays > 12


def test_a_copy_records_anew(model: Models, stand_in: GraphStandIn) -> None:
    recorded = computed_by(model("taesd"), lambda: RecordedBackend(stand_in))
    z = torch.randn(1, 4, 3, 4)
    made = [recorded.decode(z) for _ in range(4)][-1]
    copied = copy.deepcopy(recorded)
    assert torch.equal([copied.decode(z) for _ in range(4)][-1], made)
    assert stand_in.records == 1
