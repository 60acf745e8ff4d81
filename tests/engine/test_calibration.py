"""How 8 bits are found: on which latents, and that what was found for the same is found again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.backends import calibration
from taesd_stream.engine.backends.recipe import Recipe
from taesd_stream.models.architectures import taesd_decoder
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.pointwise import ReLU
from taesd_stream.models.layers.temporal import MemBlock, TimeGrow
from taesd_stream.models.layers.upsampling import Upsample
from taesd_stream.models.network import Network
from taesd_stream.models.video_architectures import taehv_decoder
from tests.engine.compiled_runs import run_by_openvino

Weights = dict[str, Tensor]


def weights_of(network: Network) -> Weights:
    return {name: torch.zeros(shape) for name, shape in network.shapes().items()}


def small_video_network() -> Network:
    block = Chain([Conv(16, 8), ReLU(), Conv(8, 8)])
    layers = [Conv(4, 8), MemBlock(block), TimeGrow(8, 2), Upsample(2), Conv(8, 8, bias=False)]
    after = [MemBlock(Chain([Conv(16, 8), ReLU(), Conv(8, 8)])), Conv(8, 3)]
    network = Network(dict(enumerate([*layers, *after])), 4).requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15, generator=generator)
    return network


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Tensor]]:
    """The latents that models are calibrated on; what is found is nothing."""
    monkeypatch.setenv("TAESD_STREAM_CACHE", str(tmp_path))
    noted: list[Sequence[Tensor]] = []

    def noting(decoder: Network, latents: Sequence[Tensor], cache: Path) -> Recipe:
        assert cache == tmp_path / "quantized"
        noted.append(latents)
        return Recipe()

    monkeypatch.setattr(calibration, "recipe_for", noting)
    return noted


@pytest.mark.parametrize(
    ("make", "variant", "taken"),
    [(taesd_decoder, "taesd3", range(0, 24, 3)), (taehv_decoder, "taehv", range(8, 16))],
    ids=["spread", "in a row"],
)
def test_latents_can_be_given(
    make: Callable[[int], Network], variant: str, taken: range, seen: list[Sequence[Tensor]]
) -> None:
    weights, options = weights_of(make(16)), {"device": "cpu", "dtype": "int8", "variant": variant}
    with pytest.raises(ts.InputError, match=f"expected latents for {variant} to find the ranges"):
        ts.load(weights, **options)
    with pytest.raises(ts.LatentsError, match="16"):
        ts.load(weights, **options, calibration=torch.zeros(1, 4, 6, 6))
    assert not seen
    latents = torch.randn(24, 16, 2, 3)
    ts.load(weights, **options, calibration=latents)
    assert torch.equal(torch.stack(list(seen[0])), latents[list(taken)])


def test_8_bits_of_a_video_are_the_same_in_any_tiles_and_are_cached_by_content(
    tmp_path: Path,
) -> None:
    network = small_video_network()
    latents = torch.randn(4, 4, 8, 7, generator=torch.Generator().manual_seed(2))
    first = calibration.recipe_for(network, list(latents), tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    assert calibration.recipe_for(network, list(latents), tmp_path).digest() == first.digest()
    assert file.stat().st_mtime_ns == written
    file.write_bytes(file.read_bytes()[:100])  # as a full disk leaves it
    assert calibration.recipe_for(network, list(latents), tmp_path).digest() == first.digest()
    assert file.stat().st_size > 100
    other = calibration.recipe_for(network, list(2 * latents), tmp_path)
    assert other.digest() != first.digest()
    assert len(list(tmp_path.iterdir())) == 2

    whole, tiled = (run_by_openvino(network, latents, tile, first) for tile in ((8, 7), (3, 4)))
    assert torch.equal(whole, tiled)
    error = whole - run_by_openvino(network, latents, (8, 7))
    power = float(run_by_openvino(network, latents, (8, 7)).square().mean())
    assert 10 * math.log10(power / float(error.square().mean())) > 15
