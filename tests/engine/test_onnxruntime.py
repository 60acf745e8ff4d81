"""ONNX Runtime's kernels against plain PyTorch: the same pictures and videos in any tiles."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.backends import onnx_kernels
from taesd_stream.engine.settings import resolve_settings
from tests.engine import video_networks
from tests.engine.compiled_runs import run_by_onnxruntime
from tests.models import image_networks

Models = Callable[..., ts.AutoEncoder]

properties = settings(max_examples=10, deadline=None, derandomize=True)
sides = st.integers(1, 12)
tiles = st.tuples(sides, sides)
planes = st.tuples(st.integers(2, 12), st.integers(2, 12))


def random(*sizes: int) -> Tensor:
    return torch.randn(sizes, generator=torch.Generator().manual_seed(sum(sizes)))


@pytest.mark.parametrize("direction", ["up", "down"])
@properties
@given(data=st.data())
def test_random_networks_for_pictures(direction: Any, data: st.DataObject) -> None:
    ours, theirs = image_networks.pair(data.draw(image_networks.architectures(direction)))
    (height, width), tile = data.draw(planes), data.draw(tiles)
    scale = 1 if direction == "up" else 3
    source = random(data.draw(st.integers(1, 2)), ours.channels, scale * height, scale * width)
    expected = theirs(source)
    made = run_by_onnxruntime(ours, source, tile)
    span = max(1.0, float(expected.max() - expected.min()))
    torch.testing.assert_close(made, expected, atol=1e-5 * span, rtol=0)


@properties
@given(data=st.data())
def test_random_networks_for_videos(data: st.DataObject) -> None:
    parts = data.draw(video_networks.architectures("decoder"))
    network = video_networks.network_of(parts)
    video = random(data.draw(st.integers(1, 3)), network.channels, *data.draw(planes))
    expected = video_networks.plain_network(parts, network, video)
    made = run_by_onnxruntime(network, video, data.draw(tiles))
    span = max(1.0, float(expected.max() - expected.min()))
    torch.testing.assert_close(made, expected, atol=1e-5 * span, rtol=0)


@pytest.mark.parametrize("name", ["taesd", "taef2", "nano", "taehv"])
def test_models(name: str, model: Models) -> None:
    ours, plain = model(name, backend="onnxruntime"), model(name)
    sizes = (2, ours.spec.latent_channels, 7, 6)
    latents = random(*((1, *sizes) if ours.spec.latents_back else sizes))
    expected = plain.decode(latents, tile=None)
    for tile in (None, (3, 4)):
        made = ours.decode(latents, tile=tile)
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)
    plan = ours.plan(latents.shape)
    assert plan.where == "cpu float32 onnxruntime"


def test_encoders(model: Models) -> None:
    ours, plain = model("taesd", backend="onnxruntime"), model("taesd")
    images = random(1, 3, 53, 75).sigmoid()
    expected = plain.encode(images, tile=None)
    span = float(expected.max() - expected.min())
    for tile in (None, 2):
        made = ours.encode(images, tile=tile)
        torch.testing.assert_close(made, expected, atol=1e-5 * span, rtol=0)


def test_one_session_serves_every_tile_and_thread(
    model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    session = onnxruntime.InferenceSession

    def counted(*args: Any, **options: Any) -> Any:
        opened.append(session(*args, **options))
        return opened[-1]

    monkeypatch.setattr(onnx_kernels.onnxruntime, "InferenceSession", counted)
    ae = ts.load("nano", device="cpu", backend="onnxruntime")
    latents = random(6, 1, 4, 9, 8)
    expected = [model("nano").decode(each) for each in latents]
    with ThreadPoolExecutor(3) as threads:
        made = threads.map(lambda each: ae.decode(each, tile=4), latents)
        for one, other in zip(made, expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    assert len(opened) == 1


def test_it_is_never_chosen_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_settings("cpu").backend != "onnxruntime"
    assert str(resolve_settings(backend="onnxruntime")) == "cpu float32 onnxruntime"
    monkeypatch.setattr("taesd_stream.engine.settings.find_spec", lambda name: None)
    with pytest.raises(ts.MissingExtraError, match=r"pip install 'taesd-stream\[onnx\]'"):
        resolve_settings(backend="onnxruntime")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"backend": "onnxruntime:fpga"}, "one of :cpu, :cuda, :tensorrt, :directml"),
        ({"backend": "torch:cuda"}, "expected auto or torch, openvino, onnxruntime, found"),
        ({"backend": "onnxruntime", "dtype": "bfloat16"}, "expected one of float32 with the"),
    ],
)
def test_what_is_refused(options: Any, told: str) -> None:
    with pytest.raises(ts.InputError, match=told):
        resolve_settings(**options)


def test_other_providers_are_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here is none: that a session is asked for with it is all that can be seen."""
    with pytest.raises(ts.InputError, match=r"this ONNX Runtime has \(cpu\), found coreml"):
        ts.load("nano", backend="onnxruntime:coreml")
    there = ["CoreMLExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    ae = ts.load("nano", backend="onnxruntime:CoreML")
    assert str(ae.settings) == "cpu float32 onnxruntime:coreml"
    asked: list[list[str]] = []
    session = onnxruntime.InferenceSession

    def counted(model: bytes, options: Any, providers: list[str]) -> Any:
        asked.append(providers)
        return session(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnx_kernels.onnxruntime, "InferenceSession", counted)
    ae.decode(random(1, 4, 3, 2))
    assert asked == [there]
