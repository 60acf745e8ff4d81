"""Decoders that make fewer frames or smaller ones, and the weights that they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.engine.running.executor import Executor
from taesd_stream.engine.settings import Settings
from taesd_stream.errors import CheckpointError, InputError
from taesd_stream.models import Checkpoint, Network, Variant, build, detect, variant_named
from taesd_stream.models.reduced import reduced
from tests.plans import plan_for
from tiling import Size

ON_CPU = Settings(torch.device("cpu"), torch.float32, "torch")
GROWERS = {7: 256, 13: 128, 19: 64}


def weights(network: Network, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator)
        * (1 / max(1, torch.Size(shape[1:]).numel())) ** 0.5
        for name, shape in network.shapes().items()
    }


def plain_taehv(
    state: Mapping[str, Tensor], latents: Tensor, growth: Sequence[int], *, enlarge: int, patch: int
) -> Tensor:
    """All frames, in the order of the official layers: a picture is enlarged, then made several."""

    def conv(x: Tensor, name: str, padding: int = 1) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), padding=padding)

    def block(x: Tensor, number: int) -> Tensor:
        both = torch.cat([x, torch.cat([torch.zeros_like(x[:1]), x[:-1]])], dim=1)
        for inner in (0, 2):
            both = conv(both, f"{number}.conv.{inner}").relu()
        return (conv(both, f"{number}.conv.4") + x).relu()

    x = conv(3 * torch.tanh(latents / 3), "1").relu()
    for first, times in zip((3, 9, 15), growth, strict=True):
        for number in range(first, first + 3):
            x = block(x, number)
        x = F.interpolate(x, scale_factor=enlarge, mode="nearest")
        last = state[f"{first + 4}.conv.weight"][-times * x.shape[1] :]
        several = F.conv2d(x, last).split(x.shape[1], dim=1)
        x = torch.stack(several, dim=1).flatten(0, 1)
        x = conv(x, f"{first + 5}")
    x = conv(x.relu(), "22")
    return x if patch == 1 else F.pixel_shuffle(x, patch)


def decoded(network: Network, latents: Tensor) -> Tensor:
    plane = Size(*latents.shape[2:])
    return torch.cat(
        [tile for _, tile in Executor(network, ON_CPU, plan_for(network, plane)).run(latents)]
    )


def some_latents(variant: Variant) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, variant.latent_channels, 2, 3, generator=generator)


def decoder_of(variant: Variant, state: Mapping[str, Tensor]) -> Network:
    checkpoint = Checkpoint(None, dict(state), "the file", None)
    _, decoder = build(variant, checkpoint)
    assert decoder is not None
    return decoder.requires_grad_(False)


@pytest.mark.parametrize("space", [True, False], ids=["large", "small"])
@pytest.mark.parametrize("time", [True, False], ids=["all frames", "few frames"])
@pytest.mark.parametrize(
    ("name", "growth", "patch"),
    [("taehv", (1, 2, 2), 1), ("taem1", (1, 2, 3), 1), ("taeltx_2", (2, 2, 2), 4)],
)
def test_a_reduced_decoder_leaves_out_steps_and_enlarging_and_nothing_else(
    name: str, growth: tuple[int, ...], patch: int, time: bool, space: bool
) -> None:
    full = variant_named(name)
    state, latents = weights(full.decoder()), some_latents(full)
    variant = reduced(full, time_upscale=time, space_upscale=space)
    made = decoded(decoder_of(variant, state), latents)
    expected = plain_taehv(
        state,
        latents,
        growth if time else (1, 1, 1),
        enlarge=2 if space else 1,
        patch=patch,
    )
    assert made.shape == expected.shape
    assert expected.std() > 0.05
    scale = (8 if space else 1) * patch
    assert made.shape[1:] == (3, 2 * scale, 3 * scale)
    assert variant.spatial_scale == scale
    assert made.shape[0] == 3 * variant.timing.growth
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)


def test_frames_of_a_reduced_variant_are_as_many_as_its_latents() -> None:
    for name in ("taehv", "taecvx", "taeh3", "taem1", "taeltx_2", "taew2_2_super"):
        timing = reduced(variant_named(name), time_upscale=False, space_upscale=True).timing
        assert [timing.frames(total) for total in range(1, 9)] == list(range(1, 9))
        assert not timing.needs_total
        smaller = variant_named(name)
        assert reduced(smaller, time_upscale=True, space_upscale=True) == smaller


def test_a_wide_decoder_does_without_time_but_not_without_space() -> None:
    full = variant_named("taew2_2_super")
    variant = reduced(full, time_upscale=False, space_upscale=True)
    state = weights(full.decoder())
    cut = dict(state)
    for number, width in ((14, 128), (21, 64)):
        cut[f"{number}.conv.weight"] = state[f"{number}.conv.weight"][width:]
    latents = some_latents(full)[:, :, :1, :1]
    made = decoded(decoder_of(variant, state), latents)
    assert made.shape == (3, 3, 16, 16)
    torch.testing.assert_close(made, decoded(decoder_of(variant, cut), latents), atol=0, rtol=0)
    with pytest.raises(InputError, match="space upscale: taew2_2_super cannot do without; "):
        reduced(full, time_upscale=True, space_upscale=False)


@pytest.mark.parametrize("kind", ["time", "space"])
@pytest.mark.parametrize("name", ["taesd", "taesdv", "taef2", "latent2rgb"])
def test_others_are_refused_in_one_line_that_names_those_that_can(name: str, kind: str) -> None:
    wanted = {"time_upscale": kind != "time", "space_upscale": kind != "space"}
    with pytest.raises(InputError) as caught:
        reduced(variant_named(name), **wanted)
    message = str(caught.value)
    assert message.startswith(f"{kind} upscale: {name} cannot do without; ")
    assert "taehv, " in message
    assert ("taew2_2_super" in message) == (kind == "time")
    assert "\n" not in message


def with_more_steps(state: Mapping[str, Tensor], number: int, times: int) -> dict[str, Tensor]:
    """The same checkpoint with steps before the ones that are used."""
    key = f"{number}.conv.weight"
    more = [torch.full_like(state[key], 7.0)] * (times - 1)
    return {**state, key: torch.cat([*more, state[key]])}


@pytest.mark.parametrize(("number", "times"), [(7, 2), (13, 2), (19, 3)])
def test_of_more_steps_than_are_needed_the_last_ones_are_taken(number: int, times: int) -> None:
    variant = variant_named("taehv")
    state, latents = weights(variant.decoder()), some_latents(variant)
    larger = with_more_steps(state, number, times)
    kept = {name: tensor.clone() for name, tensor in larger.items()}
    assert detect(Checkpoint(None, larger, "the file", None), "taehv") is variant
    made = decoded(decoder_of(variant, larger), latents)
    torch.testing.assert_close(made, decoded(decoder_of(variant, state), latents), atol=0, rtol=0)
    assert all(torch.equal(larger[name], kept[name]) for name in kept)  # the checkpoint stays whole


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("13.conv.weight", (128, 128, 1, 1)),
        ("13.conv.weight", (384, 128, 1, 1)),
        ("13.conv.weight", (512, 64, 1, 1)),
        ("7.conv.weight", (300, 256, 1, 1)),
        ("3.conv.0.weight", (512, 512, 3, 3)),
    ],
    ids=str,
)
def test_steps_that_are_too_few_or_no_whole_number_are_refused(
    key: str, shape: tuple[int, ...]
) -> None:
    state = {**weights(variant_named("taehv").decoder()), key: torch.zeros(shape)}
    with pytest.raises(CheckpointError, match=rf"{key} is \({shape[0]}, {shape[1]}, "):
        detect(Checkpoint(None, state, "the file", None), "taehv")
