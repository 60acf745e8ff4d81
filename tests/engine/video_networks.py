"""Random networks that remember, in our layers and in plain ones, and ways through a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor, nn

from taesd_stream.engine.running.executor import Executor
from taesd_stream.engine.running.tile_states import TileStates
from taesd_stream.engine.settings import Settings
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.pointwise import ReLU
from taesd_stream.models.layers.shuffles import PixelShuffle, PixelUnshuffle
from taesd_stream.models.layers.temporal import MemBlock, TimeGrow, TimePool
from taesd_stream.models.layers.upsampling import Upsample
from taesd_stream.models.network import Network
from tests.plans import plan_for
from tiling import Size, StorageKind

Direction = Literal["decoder", "encoder"]

properties = settings(max_examples=25, deadline=None, derandomize=True)
ON_CPU = Settings(torch.device("cpu"), torch.float32, "torch")
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@dataclass(frozen=True)
class Part:
    """One layer: what it does, its channels, and how many of what it makes or takes."""

    kind: Literal["conv", "relu", "memory", "pool", "grow", "up", "shuffle", "unshuffle"]
    cin: int
    cout: int
    count: int = 1


def our_layer(part: Part) -> Layer:
    match part.kind:
        case "relu":
            return ReLU()
        case "up":
            return Upsample(part.count)
        case "shuffle":
            return PixelShuffle(part.count)
        case "unshuffle":
            return PixelUnshuffle(part.count)
        case "grow":
            return TimeGrow(part.cin, part.count)
        case "pool":
            return TimePool(part.cin, part.count)
        case "memory":
            convs = [Conv(2 * part.cin, 3), ReLU(), Conv(3, part.cin, 1)]
            return MemBlock(Chain(convs), rectified=part.count > 1)
    return Conv(part.cin, part.cout, stride=part.count)


def plain(part: Part, weights: Mapping[str, Tensor], video: Tensor) -> Tensor:
    """The same on the whole video with torch's own functions."""
    steps, channels, height, width = video.shape
    match part.kind:
        case "relu":
            return video.relu()
        case "up":
            return F.interpolate(video, scale_factor=part.count)
        case "shuffle":
            return F.pixel_shuffle(video, part.count)
        case "unshuffle":
            padding = (0, -width % part.count, 0, -height % part.count)
            return F.pixel_unshuffle(F.pad(video, padding, mode="replicate"), part.count)
        case "grow":
            grown = F.conv2d(video, weights["conv.weight"])
            return grown.reshape(steps * part.count, channels, height, width)
        case "pool":
            whole = video[: steps - steps % part.count]
            grouped = whole.reshape(-1, part.count * channels, height, width)
            return F.conv2d(grouped, weights["conv.weight"])
        case "memory":
            both = torch.cat([video, torch.cat([torch.zeros_like(video[:1]), video[:-1]])], dim=1)
            inner = F.conv2d(both, weights["conv.0.weight"], weights["conv.0.bias"], padding=1)
            made = F.conv2d(inner.relu(), weights["conv.2.weight"], weights["conv.2.bias"]) + video
            return made.relu() if part.count > 1 else made
    return F.conv2d(video, weights["weight"], weights["bias"], part.count, padding=1)


def plain_network(parts: Sequence[Part], network: Network, video: Tensor) -> Tensor:
    state = network.state_dict()
    for number, part in enumerate(parts):
        prefix = f"{number}."
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        video = plain(part, own, video)
    return video


def network_of(parts: Sequence[Part]) -> Network:
    network = Network(dict(enumerate(map(our_layer, parts))), parts[0].cin)
    generator = torch.Generator().manual_seed(len(parts))
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5, generator=generator)
    return network.requires_grad_(False)


@st.composite
def architectures(draw: st.DrawFn, direction: Direction) -> list[Part]:
    """A small network of layers that look back, and enlarge (or shrink) in time and space."""
    width = draw(st.integers(1, 3))
    parts: list[Part] = []
    if direction == "encoder" and draw(st.booleans()):
        parts.append(Part("unshuffle", width, 4 * width, 2))
        width *= 4
    for stage in range(draw(st.integers(1, 3))):
        wider = draw(st.integers(1, 3))
        if direction == "encoder":
            parts.append(Part("pool", width, width, draw(st.integers(1, 3))))
            parts.append(Part("conv", width, wider, draw(st.integers(1, 2))))
            width = wider
        blocks = draw(st.integers(0 if stage else 1, 2))
        parts += [Part("memory", width, width, draw(st.integers(1, 2))) for _ in range(blocks)]
        if direction == "decoder":
            several = [Part("grow", width, width, draw(st.integers(1, 3)))]
            enlarged = [Part("up", width, width, 2)] * draw(st.integers(0, 1))
            parts += [*several, *enlarged] if draw(st.booleans()) else [*enlarged, *several]
            parts += [Part("conv", width, wider), Part("relu", wider, wider)]
            width = wider
    if direction == "decoder" and draw(st.booleans()):
        return [*parts, Part("conv", width, 4), Part("shuffle", 4, 1, 2)]
    return [*parts, Part("conv", width, 2)]


@dataclass(frozen=True)
class Way:
    """How a few steps are computed."""

    steps: int
    tile: Size
    batch: int
    segment: int | None
    storage: StorageKind
    moves: bool
    """Whether what is remembered is first taken out and put into another video's place."""
    threads: int = 1
    """Tiles that are made side by side, or steps of the only one."""
    cores: int | None = None


sizes = st.builds(Size, st.integers(1, 5), st.integers(1, 5))
ways = st.builds(
    Way,
    steps=st.integers(1, 5),
    tile=sizes,
    batch=st.integers(1, 3),
    segment=st.one_of(st.none(), st.integers(1, 4)),
    storage=st.sampled_from(["device", "scratch"]),
    moves=st.booleans(),
    threads=st.integers(1, 3),
    cores=st.sampled_from([3, 4]),
)


def computed(network: Network, video: Tensor, course: Sequence[Way]) -> Tensor:
    """The video, some steps after the other, each its own way; the rest at once at the end."""
    plane = Size(*video.shape[2:])
    made = network.out_plane(plane)
    up, down = network.rate
    out = torch.full((len(video) * up // down, network.out_channels, *sides_of(made)), torch.nan)
    rest = Way(len(video), plane, 3, None, "device", False)
    states: TileStates | None = None
    at = 0
    for way in [*course, rest]:
        steps = video[at : at + way.steps]
        if not len(steps):
            break
        plan = plan_for(
            network,
            way.tile,
            way.batch,
            segment=way.segment,
            storage=way.storage,
            threads=way.threads,
            cores=way.cores,
        )
        executor = Executor(network, ON_CPU, plan)
        states = _states_for(executor, plane, way, states)
        first = at * up // down
        for block, tile in executor.run(steps, states):
            there, y, x = block.slices
            place = out[first + there.start : first + there.stop, :, y, x]
            assert place.isnan().all()  # nothing is made twice
            place.copy_(tile)
        at += len(steps)
    return out


def sides_of(size: Size) -> tuple[int, int]:
    return size.height, size.width


def _states_for(
    executor: Executor, plane: Size, way: Way, before: TileStates | None
) -> TileStates | None:
    if before is not None and not way.moves:
        return before
    states = executor.states(plane)
    if before is not None and states is not None:
        states.begin_with(before.whole(), before.at)
    return states


def a_video(network: Network, steps: int, plane: Size) -> Tensor:
    generator = torch.Generator().manual_seed(steps)
    return torch.randn(steps, network.channels, *sides_of(plane), generator=generator)
