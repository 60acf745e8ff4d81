"""The compiled kernels against PyTorch's: the same pictures in any tiles, in every precision."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine import settings as settings_module
from taesd_stream.engine.backends import calibration, graph_cuts, openvino_kernels
from taesd_stream.engine.backends import openvino as choice
from taesd_stream.engine.backends.graph_kernels import GraphKernel
from taesd_stream.engine.backends.openvino_graph import TileGraph, graph_of
from taesd_stream.engine.backends.openvino_kernels import OpenVinoBackend
from taesd_stream.engine.running.executor import Executor
from taesd_stream.engine.settings import Settings, resolve_settings
from taesd_stream.models.architectures import taesd_decoder
from tests.plans import plan_for
from tiling import Size

Models = Callable[..., ts.AutoEncoder]


def latents_of(ae: ts.AutoEncoder, *sizes: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(sizes))
    return torch.randn(1, ae.spec.latent_channels, *sizes, generator=generator)


def decibels(made: Tensor, expected: Tensor) -> float:
    return -10 * math.log10(float((made.float() - expected).square().mean()))


@pytest.mark.parametrize("tile", [None, (4, 9)], ids=str)
@pytest.mark.parametrize("name", ["taesd", "taef2", "taesana", "nano"])
def test_decodes_in_float32_are_those_of_pytorch(name: str, tile: Any, model: Models) -> None:
    ours, plain = model(name, backend="openvino"), model(name)
    height, width = (3, 5) if name == "taesana" else (9, 10)
    latents = latents_of(ours, height, width)
    expected = plain.decode(latents, tile=None)
    torch.testing.assert_close(ours.decode(latents, tile=tile), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["taesd", "taef2", "taesana", "nano"])
def test_tiles_made_in_sections_are_those_of_pytorch(
    name: str, model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, plain = model(name, backend="openvino"), model(name)
    scale = ours.spec.spatial_scale
    monkeypatch.setattr(graph_cuts, "_MOST_IN_ONE", 2 * scale)
    latents = latents_of(ours, 5, 3)
    expected = plain.decode(latents, tile=None).expand(2, -1, -1, -1)
    for tile in (None, (3, 2)):  # sections along both axes, and along one
        made = ours.decode(latents.expand(2, -1, -1, -1), tile=tile)
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["taesd", "taef2", "taesana"])
def test_encodes_in_float32_are_those_of_pytorch(name: str, model: Models) -> None:
    ours, plain = model(name, backend="openvino"), model(name)
    images = torch.rand(1, 3, 53, 75)
    expected = plain.encode(images, tile=None)
    span = float(expected.max() - expected.min())
    for tile in (None, 2):
        made = ours.encode(images, tile=tile)
        torch.testing.assert_close(made, expected, atol=1e-5 * span, rtol=0)


@pytest.mark.parametrize("name", ["taesd", "taesd3", "taef2", "taesana"])
def test_goldens_are_met(
    name: str, model: Models, golden: Callable[[str], dict[str, Tensor]]
) -> None:
    known = golden(name)
    made = model(name, backend="openvino").decode(known["latents"])
    torch.testing.assert_close(made, known["decoded"].clamp(0, 1), atol=1e-4, rtol=0)


def test_frames_and_batches_are_each_decoded(model: Models) -> None:
    ours, plain = model("taesd", backend="openvino"), model("taesd")
    latents = torch.randn(3, 4, 6, 5)
    torch.testing.assert_close(ours.decode(latents), plain.decode(latents), atol=1e-5, rtol=0)
    frames = list(ours.stream(latents, tile=4))
    for frame, expected in zip(frames, plain.stream(latents), strict=True):
        assert abs(frame.astype(int) - expected).max() <= 1


def test_threads_may_share_a_model(model: Models) -> None:
    ae = model("taesd", backend="openvino")
    latents = torch.randn(6, 1, 4, 6, 5)
    expected = [ae.decode(each) for each in latents]
    with ThreadPoolExecutor(3) as threads:
        for made, one_by_one in zip(threads.map(ae.decode, latents), expected, strict=True):
            assert torch.equal(made, one_by_one)


@pytest.fixture(scope="module")
def calibrated_on_small_parts() -> Iterator[None]:
    """The latents that are packaged, of which only a small part is watched: that is quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "_MOST_SIDE", 10)
        yield


@pytest.mark.usefixtures("calibrated_on_small_parts")
@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_lower_precisions_are_near_float32_in_any_tiles(
    dtype: str, model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, plain = model("taesd", dtype, "openvino"), model("taesd")
    latents = latents_of(plain, 14, 11).clamp(-3, 3) / 3
    expected = plain.decode(latents)
    whole = ours.decode(latents, tile=None)
    assert whole.dtype == torch.float32
    assert decibels(whole, expected) > {"bfloat16": 40, "int8": 25}[dtype]
    tiled = ours.decode(latents, tile=5)
    if dtype == "int8":  # integers are added up in any order alike
        assert torch.equal(tiled, whole)
        monkeypatch.setattr(graph_cuts, "_MOST_IN_ONE", 40)
        assert torch.equal(ours.decode(latents, tile=None), whole)
    assert decibels(tiled, expected) > {"bfloat16": 40, "int8": 25}[dtype]


@pytest.mark.usefixtures("calibrated_on_small_parts")
def test_encoders_keep_float32_where_decoders_have_8_bits(model: Models) -> None:
    images = torch.rand(1, 3, 24, 16)
    made = model("taesd", "int8", "openvino").encode(images)
    torch.testing.assert_close(made, model("taesd").encode(images), atol=1e-4, rtol=0)


def test_one_graph_serves_every_tile_and_picture(
    model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae, plain = ts.load("nano", device="cpu", backend="openvino"), model("nano")
    graphs = []

    def counted(*args: Any, **options: Any) -> TileGraph:
        graphs.append(graph_of(*args, **options))
        return graphs[-1]

    monkeypatch.setattr(openvino_kernels, "graph_of", counted)
    for sizes, tile in (((15, 13), 5), ((3, 11), 4), ((6, 4), None)):  # with tiles inside and not
        latents = latents_of(ae, *sizes)
        expected = plain.decode(latents, tile=None)
        made = ae.decode(latents.expand(2, -1, -1, -1), tile=tile)
        torch.testing.assert_close(made, expected.expand(2, -1, -1, -1), atol=1e-5, rtol=0)
    assert len(graphs) == 1


def test_pictures_larger_than_1024_pixels_take_no_more_memory(model: Models) -> None:
    ae = model("taesd", "bfloat16", "openvino")
    plans = [ae.plan((1, 4, side, side), memory="8GiB") for side in (128, 192, 512)]
    assert max(plan.peak_bytes for plan in plans) <= 1.1 * plans[0].peak_bytes
    a_latent = [plan.work / plan.latents.area for plan in plans]
    assert max(a_latent) <= 1.055 * a_latent[0]


def test_where_memory_runs_out_smaller_tiles_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    network = taesd_decoder(4)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05, generator=generator)
    network.requires_grad_(False)
    latents = torch.randn(1, 4, 12, 6, generator=generator)
    cpu = torch.device("cpu")

    def decode(executor: Executor) -> Tensor:
        out = torch.full((1, 3, 96, 48), torch.nan)
        for block, tile in executor.run(latents):
            steps, y, x = block.slices
            out[steps, :, y, x] = tile
        return out

    plan = plan_for(network, Size(12, 6))
    expected = decode(Executor(network, Settings(cpu, torch.float32, "torch"), plan))
    run = GraphKernel.__call__

    def scarce(self: Any, tile: Tensor, rows: Any, columns: Any, memory: Any) -> Tensor:
        if rows.want.size > 48:
            raise MemoryError
        return run(self, tile, rows, columns, memory)

    monkeypatch.setattr(GraphKernel, "__call__", scarce)
    settings = Settings(cpu, torch.float32, "openvino")
    executor = Executor(network, settings, plan, OpenVinoBackend(torch.float32))
    torch.testing.assert_close(decode(executor), expected, atol=1e-5, rtol=0)


@pytest.mark.usefixtures("auto_takes_openvino")
def test_where_memory_is_too_small_for_compiled_kernels_pytorch_computes(model: Models) -> None:
    by_name = model("taesd", backend="openvino")
    chosen = model("taesd", backend="auto")
    assert chosen.settings.backend == "openvino"
    shape = (1, 4, 40, 30)
    with pytest.raises(ts.InputError, match="needs at least"):
        by_name.plan(shape, memory="20MiB")
    plan = chosen.plan(shape, memory="20MiB")
    assert plan.where == "cpu float32 torch"
    assert plan.peak_bytes <= 20 << 20
    latents = latents_of(chosen, 40, 30)
    expected = model("taesd").decode(latents)
    torch.testing.assert_close(chosen.decode(latents, memory="20MiB"), expected, atol=1e-5, rtol=0)


def test_compiled_artefacts_are_cached_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAESD_STREAM_CACHE", str(tmp_path))
    network = taesd_decoder(4).requires_grad_(False)
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    ae = ts.load(dict(network.state_dict()), device="cpu", backend="openvino")
    ae.decode(torch.zeros(1, 4, 2, 2))
    (blob,) = (tmp_path / "compiled").glob("*.blob")
    blob.unlink()
    for age, name in enumerate(["new", "old", "oldest"]):
        path = blob.with_name(f"{name}.blob")
        path.write_bytes(bytes(100))
        os.utime(path, (1000 - age, 1000 - age))
    monkeypatch.setattr(choice, "_MOST_CACHED_BYTES", 250)
    choice.openvino_backend(ae.settings, network, ())
    left = sorted(path.name for path in blob.parent.glob("*.blob"))
    assert left == ["new.blob", "old.blob"]


@pytest.mark.usefixtures("auto_takes_openvino")
def test_the_backend_is_chosen_by_what_is_there_and_what_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def chosen(dtype: str, **options: Any) -> str:
        return resolve_settings("cpu", dtype, "auto", **options).backend

    assert [chosen(dtype) for dtype in ("fp32", "bf16", "int8")] == ["openvino"] * 3
    assert chosen("fp16") == "torch"
    assert chosen("fp32", compilable=False) == "torch"
    with pytest.raises(ts.InputError, match="dtype: expected one of float32, bfloat16, int8"):
        resolve_settings("cpu", "fp16", "openvino")
    with pytest.raises(ts.InputError, match="dtype: expected one of float32, float16, bfloat16"):
        resolve_settings("cpu", "int8", "torch")
    for dtype, backend in (("fp32", "openvino"), ("int8", "auto")):
        with pytest.raises(ts.InputError, match="expected torch for this model"):
            resolve_settings("cpu", dtype, backend, compilable=False)

    def without(name: str, package: str | None = None) -> Any:
        return None if name == "openvino" else util.find_spec(name, package)

    monkeypatch.setattr(settings_module, "find_spec", without)
    assert chosen("fp32") == "torch"
    for dtype, backend in (("fp32", "openvino"), ("int8", "auto")):
        with pytest.raises(ts.MissingExtraError, match=r"pip install 'taesd-stream\[openvino\]'"):
            resolve_settings("cpu", dtype, backend)


@pytest.mark.usefixtures("auto_takes_openvino")
def test_what_it_has_no_kernels_for_is_left_to_pytorch(model: Models) -> None:
    assert model("latent2rgb", backend="auto").settings.backend == "torch"
    with pytest.raises(ts.InputError, match="expected torch for this model, found openvino"):
        model("latent2rgb", backend="openvino")


_INTERRUPTED = """
import gc, os, signal, time
import torch
import taesd_stream as ts
from taesd_stream.models.architectures import taesd_decoder

weights = {name: torch.zeros(shape) for name, shape in taesd_decoder(4).shapes().items()}

def decoded():
    decoder = ts.load(weights, variant="taesd", device="cpu", backend="openvino")
    decoder.decode(torch.zeros(1, 4, 3, 3))
    return decoder

first, second = decoded(), decoded()
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_after_two_models_is_one() -> None:
    """A second copy of OpenVINO would leave the thread a freed stack for its signal handlers."""
    command = [sys.executable, "-c", _INTERRUPTED]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
