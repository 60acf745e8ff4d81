"""CUDA graphs on a CUDA GPU; what is done with recordings is tested everywhere."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from benchmarks.decoders.ours import computed_by
from taesd_stream.engine.backends import EagerBackend
from taesd_stream.engine.backends.cuda_graphs import CudaGraphs
from taesd_stream.engine.backends.recorded import RecordedBackend
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.plain_modes import Computing
from tests.engine.conftest import Models

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

T = TypeVar("T")
TIMES = 5

# Largest differences from float32 on the CPU: with the weights of these tests, of values in [0, 1].
CLOSE = {"float32": 1e-4, "float16": 0.02, "bfloat16": 0.15}


class Watched(CudaGraphs):
    """Counts the graphs that are recorded, and their replays."""

    def __init__(self) -> None:
        super().__init__(torch.device("cuda"))
        self.records = self.replays = 0

    def record(self, run: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        made, replay = super().record(run)
        self.records += 1

        def counted() -> None:
            self.replays += 1
            replay()

        return made, counted


@pytest.fixture(autouse=True)
def _without_warnings(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING, "taesd_stream"):
        yield
    assert not caplog.messages


def both(models: Models, name: str, dtype: str) -> tuple[ts.AutoEncoder, ts.AutoEncoder, Watched]:
    """A model whose tiles are recorded, and the same one operator by operator."""
    ae, watched = models(name, dtype=dtype, device="cuda"), Watched()
    recorded = computed_by(ae, lambda: RecordedBackend(watched))
    return recorded, computed_by(ae, EagerBackend), watched


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize(("tile", "kinds"), [(None, 1), (8, 9)])
def test_pictures(model: Models, dtype: str, tile: int | None, kinds: int) -> None:
    recorded, eager, watched = both(model, "taesd", dtype)
    pictures = torch.randn(TIMES, 1, 4, 24, 24)
    truth = [model("taesd").decode(z) for z in pictures]
    for z, expected in zip(pictures, truth, strict=True):
        made = recorded.decode(z.cuda(), tile=tile).cpu().float()
        assert (made - eager.decode(z, tile=tile).cpu().float()).abs().max() < CLOSE[dtype]
        assert (made - expected).abs().max() < CLOSE[dtype]
    assert watched.records == kinds
    assert watched.replays == kinds * (TIMES - 2)


@pytest.mark.parametrize("name", ["taesdv", "taehv", "taeh3"])
def test_videos_step_by_step(model: Models, name: str) -> None:
    recorded, _, watched = both(model, name, "float32")
    video = torch.randn(20, recorded.spec.latent_channels, 6, 7)
    frames = zip(recorded.stream(video), model(name).stream(video), strict=True)
    assert all(abs(ours.astype(int) - theirs).max() <= 1 for ours, theirs in frames)
    assert watched.replays > 10


def test_callers_may_compute_on_streams_of_their_own(model: Models) -> None:
    recorded, eager, watched = both(model, "taesd", "float32")
    pictures = torch.randn(24, 1, 4, 16, 16, device="cuda")

    def decoded(z: Tensor) -> Tensor:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.default_stream())
        with torch.cuda.stream(stream):
            made = recorded.decode(z)
        stream.synchronize()
        return made

    with ThreadPoolExecutor(3) as threads:
        made = list(threads.map(decoded, pictures))
    for ours, z in zip(made, pictures, strict=True):
        assert (ours - eager.decode(z)).abs().max() < 1e-4
    assert watched.replays > 10


def test_the_kernels_that_callers_want_are_theirs(
    model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, _, watched = both(model, "taesd", "float32")
    z = torch.randn(1, 4, 8, 8, device="cuda")
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    with watched.tuned(), Computing(coder_of(recorded, "decode").settings):
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
    made = [recorded.decode(z) for _ in range(TIMES)]
    assert all(torch.equal(each, made[0]) for each in made)


def test_callers_may_have_graphs_of_their_own(model: Models) -> None:
    recorded, _, _ = both(model, "taesd", "float32")
    z = torch.randn(1, 4, 8, 8, device="cuda")
    for _ in range(TIMES):
        recorded.decode(z)
    graph, noise = torch.cuda.CUDAGraph(), torch.zeros(8, device="cuda")
    with torch.cuda.graph(graph):
        noise.normal_()
    graph.replay()  # outside inference mode
    assert noise.std() > 0


def test_memory_goes_back(model: Models) -> None:
    recorded, _, watched = both(model, "taesd", "float16")
    z = torch.randn(1, 4, 64, 64, device="cuda")
    recorded.decode(z)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    for _ in range(TIMES):
        recorded.decode(z)
    held, planned = watched.held_bytes, recorded.plan(z.shape).recorded_bytes
    assert 0 < held < planned
    del recorded  # and its graphs
    watched.let_go(lambda: None)
    assert torch.cuda.memory_reserved() <= before


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_latents_of_a_gpu_are_checked_too(model: Models, wrong: float) -> None:
    recorded, _, _ = both(model, "taesd", "float32")
    z = torch.randn(2, 4, 8, 8, device="cuda")
    assert recorded.decode(z).isfinite().all()
    z[1, 2, 3, 4] = wrong
    with pytest.raises(ts.NonFiniteError, match=r"latent 1 .*\(2, 3, 4\)"):
        recorded.decode(z)


def test_what_cannot_be_recorded_changes_nothing() -> None:
    graphs, numbers = CudaGraphs(torch.device("cuda")), torch.ones(4, device="cuda")
    before = torch.cuda.current_stream()
    with graphs.in_turn(), pytest.raises(RuntimeError):
        graphs.record(lambda: numbers.sum().item())  # waits for the device
    assert torch.cuda.current_stream() == before
    graphs.let_go(lambda: None)
    with graphs.in_turn():
        made, replay = graphs.record(lambda: numbers * 2)
        replay()
        assert made.tolist() == [2] * 4
