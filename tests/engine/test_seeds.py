"""Seeds decide on the noise that latents and pictures are drawn with, whatever the tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts
from taesd_stream.cli.main import main
from taesd_stream.models.noise import noise
from tiling import Region, Size

pytest.importorskip("diffusers", reason="needs diffusers, to compare with")

from tests.engine.full_vaes import loaded, random_vae

EXACT = 1e-4  # of the range
tiles = st.one_of(st.none(), st.integers(1, 9))


@pytest.fixture(scope="module")
def vae() -> Any:
    return random_vae()


@pytest.fixture(scope="module")
def fine(vae: Any) -> ts.AutoEncoder:
    return loaded(vae)


def pictures(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def drawn(vae: Any, images: Tensor, seed: int) -> Tensor:
    """What diffusers' distribution is, drawn with the noise at each place."""
    found = vae.encode(images * 2 - 1).latent_dist
    channels, *size = found.mean.shape[1:]
    planes = [
        noise(seed, number, Region.whole(Size(*size)), 3, torch.device("cpu"))
        for number in range(1, -(-channels // 3) + 1)
    ]
    return found.mean + found.std * torch.cat(planes, dim=1)[:, :channels]


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 2), st.just(3), st.integers(4, 29), st.integers(4, 29)),
    tile=tiles,
    seed=st.integers(0, 2**64 - 1),
)
def test_samples(
    vae: Any, fine: ts.AutoEncoder, shape: tuple[int, ...], tile: Any, seed: int
) -> None:
    images = pictures(*shape)
    expected = drawn(vae, images, seed)
    made = fine.encode(images, tile=tile, seed=seed)
    span = float(expected.max() - expected.min())
    assert float((made - expected).abs().max()) < EXACT * max(1.0, span)


def test_deviations_matter(vae: Any, fine: ts.AutoEncoder) -> None:
    """They differ from place to place, and are large enough for mistakes to be seen."""
    images = pictures(1, 3, 20, 20)
    found = vae.encode(images * 2 - 1).latent_dist
    assert float(found.std.max()) > 2 * float(found.std.min()) > 0.01
    one, other = (fine.encode(images, seed=seed) for seed in (1, 2))
    assert float((one - other).abs().mean()) > 0.1


def test_16_channels_in_the_models_scale() -> None:
    vae = random_vae(latent_channels=16, quantised=False)
    images = pictures(1, 3, 24, 18)
    made = loaded(vae).encode(images, seed=5, convention="model", tile=3)
    factor = vae.config.scaling_factor
    assert torch.allclose(made, drawn(vae, images, 5) * factor, atol=EXACT)


def test_without_a_seed_it_is_the_mean(vae: Any, fine: ts.AutoEncoder) -> None:
    images = pictures(1, 3, 12, 12)
    fine.encode(images, seed=3)
    expected = vae.encode(images * 2 - 1).latent_dist.mean
    assert torch.allclose(fine.encode(images), expected, atol=EXACT)


def test_extreme_variances_are_cut(vae: Any) -> None:
    """Diffusers cuts logarithms of variances to [-30, 20]."""
    state = dict(vae.state_dict())
    state["quant_conv.bias"] = state["quant_conv.bias"] + torch.tensor([0.0] * 4 + [900.0] * 4)
    images = pictures(1, 3, 8, 8)
    off = loaded(state).encode(images, seed=1) - loaded(state).encode(images)
    planes = [noise(1, number, Region.whole(Size(4, 4)), 3, off.device) for number in (1, 2)]
    expected = torch.cat(planes, dim=1)[:, :4] * np.exp(10.0)
    assert torch.allclose(off, expected, rtol=1e-3, atol=0.1)


def test_streams_bands_and_shortcuts_draw_the_same(vae: Any, fine: ts.AutoEncoder) -> None:
    frames = (pictures(3, 3, 17, 14) * 255).round() / 255
    expected = fine.encode(frames, seed=8)
    rgb = [(frame * 255).byte().permute(1, 2, 0).numpy() for frame in frames]
    streamed = torch.stack(list(fine.encode_stream(iter(rgb), seed=8, tile=4)))
    assert torch.allclose(streamed, expected, atol=EXACT)
    with fine.open_encode_stream(seed=8) as live:
        pushed = [latent for frame in rgb for latent in live.push(frame)] + live.flush()
    assert torch.allclose(torch.stack(pushed), expected, atol=EXACT)
    run = fine.open_encode_picture(Size(17, 14), lambda y, x: rgb[0][y, x], seed=8, tile=3)
    for region, tile in run.tiles():
        rows, columns = region.y, region.x
        part = expected[0, :, rows.start : rows.stop, columns.start : columns.stop]
        assert torch.allclose(tile, part, atol=EXACT)
    quick = loaded(vae, fast_norms=True)
    mean, sample = quick.encode(frames), quick.encode(frames, seed=8)
    assert float((sample - mean).abs().mean()) > 0.05
    assert fine.plan((1, 3, 17, 14), action="encode", seed=8).seed == 8


def test_files(vae: Any, fine: ts.AutoEncoder, tmp_path: Path) -> None:
    vae.save_pretrained(tmp_path / "vae")
    image = (pictures(16, 24, 3) * 255).byte().numpy()
    np.save(tmp_path / "in.npy", image[None])
    command = ["encode", f"{tmp_path}/in.npy", f"{tmp_path}/out.npy", "--seed", "9", "--json"]
    options = ["--model", f"{tmp_path}/vae", "--convention", "vae", "--device", "cpu"]
    assert main([*command, *options]) == 0
    images = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    made = torch.from_numpy(np.load(tmp_path / "out.npy"))
    assert torch.allclose(made, fine.encode(images, seed=9), atol=EXACT)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, "7"])
def test_no_such_seed(fine: ts.AutoEncoder, seed: Any) -> None:
    with pytest.raises(ts.InputError, match="seed: expected a number from 0"):
        fine.encode(pictures(1, 3, 8, 8), seed=seed)


def test_who_draws_nothing_takes_none(fine: ts.AutoEncoder, tmp_path: Path) -> None:
    latents = torch.zeros(1, 4, 2, 2)
    nano = ts.load("nano", device="cpu", dtype="float32")
    for call in (
        lambda: fine.decode(latents, seed=7),
        lambda: nano.decode(latents, seed=7),
        lambda: nano.encode(pictures(1, 3, 16, 16), seed=7),
        lambda: list(nano.stream(latents, seed=7)),
        lambda: ts.render(latents, tmp_path / "a.png", model="nano", seed=7),
    ):
        with pytest.raises(ts.InputError, match="seed: expected none, found 7"):
            call()
