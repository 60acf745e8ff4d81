"""Plans for what is recorded count recordings, and what keeps a GPU busy."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import taesd_stream as ts
from benchmarks.decoders.ours import computed_by
from benchmarks.graph_stand_in import GraphStandIn
from taesd_stream.engine.backends.choice import torch_backend
from taesd_stream.engine.backends.recorded import RecordedBackend
from taesd_stream.engine.settings import Settings
from tests.engine.conftest import Models

MIB = 1 << 20


def recorded(ae: ts.AutoEncoder) -> ts.AutoEncoder:
    return computed_by(ae, lambda: RecordedBackend(GraphStandIn()))


@pytest.mark.parametrize(("device", "records"), [("cuda", True), ("cuda:1", True), ("cpu", False)])
def test_a_gpu_records(device: str, records: bool) -> None:
    settings = Settings(torch.device(device), torch.float16, "torch")
    assert torch_backend(settings).records is records


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(["taesd", "taef2", "nano", "taehv"]),
    plane=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    pictures=st.integers(1, 40),
    budget=st.integers(256, 8192),
)
def test_recordings_are_counted_and_get_no_more_than_their_share(
    name: str, plane: tuple[int, int], pictures: int, budget: int, model: Models
) -> None:
    ae = recorded(model(name))
    shape = (pictures, ae.spec.latent_channels, *plane)
    plan = ae.plan((1, *shape) if name == "taehv" else shape, memory=budget * MIB)
    assert plan.peak_bytes <= budget * MIB
    assert plan.recorded_bytes <= budget * MIB // 8
    assert ("recorded in" in str(plan)) is (plan.recorded_bytes > 0)


def test_where_memory_is_short_operators_run_one_by_one(model: Models) -> None:
    ae = recorded(model("taesd"))
    ample = ae.plan((1, 4, 64, 64), memory="8GiB")
    # A recording computes in memory of its own, besides what the first tiles take.
    live = ample.passes[-1].peak_elements * 4
    assert live < ample.recorded_bytes < 2 * live
    without = ample.peak_bytes - ample.recorded_bytes
    for memory in (without + ample.recorded_bytes - 1, without):
        assert ae.plan((1, 4, 64, 64), memory=memory).recorded_bytes == 0


def test_small_pictures_are_computed_together_until_a_gpu_is_full(model: Models) -> None:
    ae = recorded(model("taesd"))
    batches = {
        side: ae.plan((500, 4, side, side), memory="64GiB").batch for side in (8, 32, 64, 128, 512)
    }
    assert batches == {8: 500, 32: 64, 64: 16, 128: 4, 512: 1}
    assert model("taesd").plan((500, 4, 8, 8), memory="64GiB").batch == 1
