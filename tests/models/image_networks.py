"""Random networks for pictures, in our layers and in plain ones of torch.nn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor, nn

from taesd_stream.engine.running.executor import Executor
from taesd_stream.engine.settings import Settings
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.global_pool import GlobalPool
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.pointwise import ReLU, SoftClamp
from taesd_stream.models.layers.residual import Residual
from taesd_stream.models.layers.upsampling import Upsample
from taesd_stream.models.network import Network
from tests.plans import plan_for
from tiling import WHOLE, Size, View

properties = settings(max_examples=25, deadline=None, derandomize=True)
ON_CPU = Settings(torch.device("cpu"), torch.float32, "torch")


@dataclass(frozen=True)
class Part:
    """One layer, described so that both kinds of network can be built from it."""

    kind: Literal["clamp", "conv", "relu", "up", "block"]
    cin: int
    cout: int
    kernel: int = 3
    stride: int = 1
    bias: bool = True
    pool: bool = False


class PlainClamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class PlainBlock(nn.Module):
    def __init__(self, part: Part) -> None:
        super().__init__()
        cin, cout = part.cin, part.cout
        self.conv = nn.Sequential(
            nn.Conv2d(cin, cout, 3, padding=1), nn.ReLU(), nn.Conv2d(cout, cout, 3, padding=1)
        )
        if part.pool:
            self.pool = nn.Sequential(
                nn.Conv2d(cin, 4 * cin, 1, bias=False),
                nn.GroupNorm(4, 4 * cin),
                nn.ReLU(),
                nn.Conv2d(4 * cin, cin, 1, bias=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, "pool"):
            x = x + self.pool(x)
        return (self.conv(x) + x).relu()


def plain_layer(part: Part) -> nn.Module:
    match part.kind:
        case "clamp":
            return PlainClamp()
        case "relu":
            return nn.ReLU()
        case "up":
            return nn.Upsample(scale_factor=2)
        case "block":
            return PlainBlock(part)
    padding = part.kernel // 2
    return nn.Conv2d(part.cin, part.cout, part.kernel, part.stride, padding, bias=part.bias)


def our_layer(part: Part) -> Layer:
    match part.kind:
        case "clamp":
            return SoftClamp()
        case "relu":
            return ReLU()
        case "up":
            return Upsample(2)
        case "block":
            convs = [Conv(part.cin, part.cout), ReLU(), Conv(part.cout, part.cout)]
            return Residual(Chain(convs), GlobalPool(part.cin) if part.pool else None)
    return Conv(part.cin, part.cout, part.kernel, part.stride, bias=part.bias)


def pair(parts: Sequence[Part]) -> tuple[Network, nn.Sequential]:
    """The same random weights in our network and in a plain one."""
    theirs = nn.Sequential(*map(plain_layer, parts))
    generator = torch.Generator().manual_seed(len(parts))
    for parameter in theirs.parameters():
        nn.init.uniform_(parameter, -0.4, 0.4, generator=generator)
    ours = Network(dict(enumerate(our_layer(part) for part in parts)), parts[0].cin)
    assert ours.shapes() == {n: tuple(t.shape) for n, t in theirs.state_dict().items()}
    ours.load_state_dict(theirs.state_dict())
    return ours.requires_grad_(False), theirs.requires_grad_(False)


@st.composite
def architectures(draw: st.DrawFn, direction: Literal["up", "down"]) -> list[Part]:
    """A network of random widths that scales in one direction, global branches among it."""
    width = draw(st.integers(1, 5))
    cin = draw(st.integers(1, 5))
    parts = [Part("clamp", cin, cin)] if draw(st.booleans()) else []
    parts += [Part("conv", cin, width), Part("relu", width, width)]
    stages = draw(st.integers(1, 3))
    for stage in range(stages):
        # A global branch is computed at the scale of latents, wherever it stands.
        pooled = stage == (0 if direction == "up" else stages - 1) and draw(st.booleans())
        wider = draw(st.integers(1, 5))
        kernel = draw(st.sampled_from([1, 3, 5]))
        if direction == "down" and pooled:
            parts.append(Part("conv", width, width, stride=2, bias=False))
        for _ in range(draw(st.integers(0, 2))):
            parts.append(Part("block", width, width, pool=pooled))
        if direction == "up":
            parts += [Part("up", width, width), Part("conv", width, wider, kernel, bias=False)]
        elif not pooled:
            parts += [Part("conv", width, wider, stride=2, bias=False)]
        else:
            parts += [Part("conv", width, wider, kernel)]
        width = wider
    return [*parts, Part("conv", width, 3)]


def tiled(
    network: Network,
    tensor: Tensor,
    tile: Size,
    *,
    continued: bool = False,
    view: View = WHOLE,
    scratch: bool = False,
    first_band: int = 0,
) -> Tensor:
    """What the executor makes, put together; NaN where it makes nothing."""
    made = view.made(network.out_plane(Size(*tensor.shape[2:])))
    out = torch.full((len(tensor), network.out_channels, made.height, made.width), torch.nan)
    plan = plan_for(network, tile, continued=continued, view=view, scratch=scratch)
    executor = Executor(network, ON_CPU, plan)
    for block, part in executor.run(tensor, first_band=first_band):
        frames, y, x = block.slices
        assert out[frames, :, y, x].isnan().all()  # nothing is made twice
        out[frames, :, y, x] = part
    return out
