"""Video models compiled by OpenVINO: their states are inputs and outputs of one graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.running.executor import Executor
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.pointwise import ReLU, SignedToUnit
from taesd_stream.models.layers.shuffles import PixelShuffle
from taesd_stream.models.layers.temporal import MemBlock, TimeGrow
from taesd_stream.models.network import Network
from tests.engine.compiled_runs import run_by_openvino
from tests.engine.video_networks import ON_CPU
from tests.plans import plan_for
from tiling import Size

Models = Callable[..., ts.AutoEncoder]


def video_for(ae: ts.AutoEncoder, *sizes: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(sizes))
    return torch.randn(1, sizes[0], ae.spec.latent_channels, *sizes[1:], generator=generator)


@pytest.mark.parametrize("name", ["taesdv", "taehv"])
def test_videos_in_float32_are_those_of_pytorch_in_any_tiles(name: str, model: Models) -> None:
    ours, plain = model(name, backend="openvino"), model(name)
    video = video_for(plain, 3, 7, 6)
    expected = plain.decode(video, tile=None)
    for tile in (None, (3, 4)):
        made = ours.decode(video, tile=tile)
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_bfloat16_is_near_float32_in_any_tiles(model: Models) -> None:
    ours, plain = model("taehv", "bfloat16", "openvino"), model("taehv")
    video = video_for(plain, 3, 7, 6)
    expected = plain.decode(video)
    for tile in (None, 3):
        error = ours.decode(video, tile=tile) - expected
        assert -10 * math.log10(float(error.square().mean())) > 40


def test_blocks_of_every_kind_are_compiled() -> None:
    """Grouped convolutions, negative slopes, blocks without a ReLU, pixels in [-1, 1]."""
    inside = [Conv(16, 16, 7, bias=False, groups=16), ReLU(0.2), Conv(16, 8, 1)]
    layers = [
        Conv(4, 8),
        MemBlock(Chain(inside), rectified=False),
        TimeGrow(8, 3),
        MemBlock(Chain([Conv(16, 8, groups=2)]), slope=0.2),
        PixelShuffle(2),
        ReLU(0.2),
        MemBlock(Chain([Conv(4, 2)])),
        SignedToUnit(),
    ]
    network = Network(dict(enumerate(layers)), 4).requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=generator)
    video = torch.randn(3, 4, 9, 11, generator=generator)
    plane = Size(9, 11)
    expected = [tile for _, tile in Executor(network, ON_CPU, plan_for(network, plane)).run(video)]
    for tile in ((9, 11), (4, 5)):
        made = run_by_openvino(network, video, tile)
        torch.testing.assert_close(made, torch.cat(expected), atol=1e-5, rtol=0)


def test_what_one_backend_saved_the_other_goes_on_with(model: Models, tmp_path: Path) -> None:
    ours, plain = model("taehv", "bfloat16", "openvino"), model("taehv")
    latents = video_for(plain, 6, 4, 5)[0]
    expected = list(plain.stream(latents))
    opened, frames = ours.open_stream(), []
    options: list[dict[str, Any]] = [{"tile": 3}, {"tile": 2}]
    for latent, following in zip(latents, [plain, ours, None, None, None, None], strict=True):
        frames += opened.push(latent)
        if following is not None:
            opened.save().save(tmp_path / "state")
            state = ts.StreamState.load(tmp_path / "state")
            opened = following.open_stream(state=state, **options.pop())
    frames += opened.flush()
    assert len(frames) == len(expected)
    for frame, known in zip(frames, expected, strict=True):
        assert abs(frame.astype(int) - known).max() <= 8  # bfloat16's own error


def test_the_half_that_is_not_compiled_computes_in_pytorch(model: Models) -> None:
    ae = model("taehv", "bfloat16", "openvino")
    assert str(coder_of(ae, "decode").settings) == "cpu bfloat16 openvino"
    assert str(coder_of(ae, "encode").settings) == "cpu bfloat16 torch"
    images = torch.rand(1, 4, 3, 16, 24)
    assert torch.equal(ae.encode(images), model("taehv", "bfloat16").encode(images))
