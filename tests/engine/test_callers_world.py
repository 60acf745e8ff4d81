"""What callers have set in PyTorch, before, around and after, changes nothing that is computed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import taesd_stream as ts
from taesd_stream.engine.loaded_model import coder_of

from .conftest import Models, load_narrow, model_named, weights_of


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _default_device_meta() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def _deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


WORLDS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "plain": nullcontext,
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "enable_grad": torch.enable_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float64": lambda: _default_dtype(torch.float64),
    "float16": lambda: _default_dtype(torch.float16),
    "meta": _default_device_meta,
    "with meta": lambda: torch.device("meta"),
    "deterministic": _deterministic,
}
NAMES = ("latent2rgb", "nano", "taesd", "taesdv", "taef2")
# In each kind of world every model; in its likes and where nothing is set, the smallest.
KINDS = ("inference_mode", "autocast", "float64", "meta", "deterministic")


def _load(name: str) -> ts.AutoEncoder:
    if name in ("latent2rgb", "nano"):
        return ts.load(name, device="cpu", backend="torch")
    return load_narrow(name)


@cache
def _latents(channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, channels, 2, 3, generator=generator)


@cache
def _frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), np.uint8)


def _settings() -> tuple[object, ...]:
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.get_float32_matmul_precision(),
    )


def _as_arrays(ae: ts.AutoEncoder) -> list[np.ndarray]:
    """What a model makes in every way there is."""
    before = _settings()
    latents = _latents(ae.spec.latent_channels)
    video = ae.spec.name == "taesdv"
    made = [ae.decode(latents[None] if video else latents, tile=2).numpy()]
    made += ae.stream(iter(latents))
    stream = ae.open_stream()
    made += stream.push(latents[0])
    saved = stream.save()
    made += ae.open_stream(state=saved).push(latents[1])
    if ae.spec.can_encode:
        pictures = torch.from_numpy(_frames()).permute(0, 3, 1, 2).float() / 255
        made.append(ae.encode(pictures[None] if video else pictures).numpy())
        made += [latent.numpy() for latent in ae.encode_stream(_frames())]
    assert _settings() == before
    return made


@cache
def _plain_result(name: str) -> list[np.ndarray]:
    return _as_arrays(_load(name))


def _assert_plain(found: list[np.ndarray], name: str) -> None:
    for one, expected in zip(found, _plain_result(name), strict=True):
        assert one.dtype == expected.dtype
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize(
    ("world", "name"),
    [(world, name) for world in WORLDS for name in (NAMES if world in KINDS else ("nano",))],
)
def test_a_model_loaded_in_any_world_computes_the_same_in_it_and_outside(
    world: str, name: str
) -> None:
    _plain_result(name)
    with WORLDS[world]():
        before = _settings()
        ae = _load(name)
        assert _settings() == before
        _assert_plain(_as_arrays(ae), name)
    _assert_plain(_as_arrays(ae), name)


@pytest.mark.parametrize("name", ["nano", "taesdv"])
@pytest.mark.parametrize("world", WORLDS)
def test_a_model_loaded_outside_computes_the_same_in_any_world(world: str, name: str) -> None:
    _plain_result(name)
    ae = _load(name)
    with WORLDS[world]():
        _assert_plain(_as_arrays(ae), name)


@pytest.mark.parametrize("world", ["inference_mode", "autocast", "meta"])
def test_weights_from_any_world_do(world: str) -> None:
    with WORLDS["inference_mode"]():
        weights = {key: tensor.clone() for key, tensor in weights_of("taesd").items()}
    with WORLDS[world]():
        ae = ts.load(weights, variant="taesd", device="cpu", backend="torch")
    decoder = coder_of(ae, "decode")
    assert not any(each.is_inference() for each in decoder.network.parameters())
    made, expected = _as_arrays(ae), _as_arrays(model_named("taesd"))
    assert all((one == other).all() for one, other in zip(made, expected, strict=True))


@pytest.mark.parametrize("world", WORLDS)
def test_what_lies_in_files_is_read_and_written_in_any_world(
    world: str, model: Models, tmp_path: Path
) -> None:
    ae = model("taesdv")
    np.save(tmp_path / "z.npy", _latents(4).numpy())
    stream = ae.open_stream()
    stream.push(_latents(4)[0])
    with WORLDS[world]():
        stream.save().save(tmp_path / "state")
        state = ts.StreamState.load(tmp_path / "state")
        frames = ae.open_stream(state=state).push(_latents(4)[1])
        ts.render(tmp_path / "z.npy", tmp_path / "out.npy", model=ae)
        assert torch.equal(ts.open_latents(tmp_path / "z.npy")[0], _latents(4)[0])
    written = np.load(tmp_path / "out.npy")
    np.testing.assert_array_equal(frames, list(ae.stream(_latents(4)))[1:])
    np.testing.assert_array_equal(written, list(ae.stream(_latents(4))))


def _odd_inputs() -> dict[str, Callable[[Tensor], Tensor]]:
    def in_inference(z: Tensor) -> Tensor:
        with torch.inference_mode():
            return z.clone()

    return {
        "requires grad": lambda z: z.clone().requires_grad_(),
        "part of a graph": lambda z: z.clone().requires_grad_() * 1,
        "view": lambda z: torch.cat([z, z], dim=3)[..., : z.shape[3]],
        "transposed": lambda z: z.mT.contiguous().mT,
        "channels_last": lambda z: z.to(memory_format=torch.channels_last),
        "float64": lambda z: z.double(),
        "inference": in_inference,
        "parameter": nn.Parameter,
    }


@pytest.mark.parametrize("world", ["plain", "inference_mode", "autocast"])
@pytest.mark.parametrize("kind", _odd_inputs())
@pytest.mark.parametrize("name", ["nano", "taesdv"])
def test_tensors_of_any_kind_decode_alike(kind: str, name: str, world: str, model: Models) -> None:
    ae = model(name)
    z = _latents(4)
    odd = _odd_inputs()[kind](z)
    with WORLDS[world]():
        has_gradient = odd.requires_grad and torch.is_grad_enabled()
        made = ae.decode(odd[None] if name == "taesdv" else odd)
        streamed = list(ae.stream(odd))
    expected = ae.decode(z[None] if name == "taesdv" else z)
    assert made.requires_grad == has_gradient
    torch.testing.assert_close(made, expected, atol=0, rtol=0)
    np.testing.assert_array_equal(streamed, list(ae.stream(z)))


@pytest.mark.parametrize("world", ["plain", "autocast", "float64"])
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_latents_of_eight_bits_are_what_they_are_in_float32(
    dtype: torch.dtype, world: str, model: Models
) -> None:
    ae, z = model("nano"), _latents(4).to(dtype)
    with WORLDS[world]():
        made, streamed = ae.decode(z), list(ae.stream(iter(z)))
    torch.testing.assert_close(made, ae.decode(z.float()), atol=0, rtol=0)
    np.testing.assert_array_equal(streamed, list(ae.stream(z.float())))


def test_expanded_latents_decode_alike(model: Models) -> None:
    z = _latents(4)[:1]
    made = model("nano").decode(z.expand(3, -1, -1, -1))
    torch.testing.assert_close(made, model("nano").decode(z.repeat(3, 1, 1, 1)), atol=0, rtol=0)


@pytest.mark.parametrize("name", ["nano", "taesdv", "taef2"])
def test_threads_share_one_model(name: str) -> None:
    ae = _load(name)
    _plain_result(name)
    with ThreadPoolExecutor(4) as pool:
        for made in pool.map(_as_arrays, [ae] * 8):
            _assert_plain(made, name)


def test_a_daemon_thread_decodes() -> None:
    ae, made = _load("nano"), []
    thread = threading.Thread(target=lambda: made.extend(_as_arrays(ae)), daemon=True)
    thread.start()
    thread.join(60)
    _assert_plain(made, "nano")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_decodes_after_its_parent_used_threads() -> None:
    # OpenMP's threads stay with the parent: a child that counts on them waits forever.
    expected = _plain_result("nano")
    ae, threads = _load("nano"), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.rand(1 << 20).add_(1)
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            try:
                torch.rand(1 << 20).add_(1)
                found = _as_arrays(ae) + _as_arrays(_load("nano"))
                same = all(map(np.array_equal, found, expected * 2))
                os._exit(0 if same and torch.get_num_threads() == 1 else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_module_is_loaded_as_its_state_dict(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    torch.manual_seed(0)
    module = diffusers.AutoencoderTiny()
    z = _latents(4)
    made = ts.load(module, variant="taesd", device="cpu", backend="torch").decode(z)
    with torch.no_grad():
        expected = module.decode(z).sample.add(1).div(2).clamp(0, 1)
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=0)
    options = {"model": module, "variant": "taesd", "device": "cpu", "backend": "torch"}
    ts.render(z, tmp_path / "out.npy", **options)
    written = torch.from_numpy(np.load(tmp_path / "out.npy")).permute(0, 3, 1, 2)
    torch.testing.assert_close(written / 255, expected, atol=1 / 255, rtol=0)
