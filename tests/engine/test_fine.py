"""Full VAEs, tile by tile, equal diffusers' undivided ones."""

from __future__ import annotations

import weakref
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.running import planes
from taesd_stream.engine.running.tile_making import TileMaking
from taesd_stream.models.layers import attention

pytest.importorskip("diffusers")

from tests.engine.full_vaes import loaded, random_vae

EXACT = 1e-4  # of the range
properties = settings(max_examples=12, deadline=None, derandomize=True)
sides = st.integers(1, 14)
tiles = st.one_of(st.none(), st.integers(1, 9), st.tuples(st.integers(1, 9), st.integers(1, 9)))


@pytest.fixture(scope="module")
def vae() -> Any:
    return random_vae()


@pytest.fixture(scope="module")
def fine(vae: Any) -> ts.AutoEncoder:
    return loaded(vae)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def decoded(vae: Any, latents: Tensor) -> Tensor:
    return (vae.decode(latents).sample / 2 + 0.5).clamp(0, 1)


def test_weights_matter(vae: Any) -> None:
    made = decoded(vae, noise(1, 4, 9, 8))
    assert float(made.std()) > 0.1
    assert float((made == 0).float().mean()) < 0.4


@properties
@given(shape=st.tuples(st.integers(1, 2), st.just(4), sides, sides), tile=tiles)
def test_decoding(
    vae: Any, fine: ts.AutoEncoder, shape: tuple[int, int, int, int], tile: Any
) -> None:
    latents = noise(*shape)
    made = fine.decode(latents, tile=tile)
    assert float((made - decoded(vae, latents)).abs().max()) < EXACT


@properties
@given(height=st.integers(4, 29), width=st.integers(4, 29), tile=tiles)
def test_encoding(vae: Any, fine: ts.AutoEncoder, height: int, width: int, tile: Any) -> None:
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height))
    expected = vae.encode(picture * 2 - 1).latent_dist.mean
    made = fine.encode(picture, tile=tile)
    span = float(expected.max() - expected.min())
    assert made.shape == expected.shape
    assert float((made - expected).abs().max()) < EXACT * max(1.0, span)


@pytest.mark.parametrize(
    "options",
    [
        {"widths": (32, 64, 32), "blocks": 2},
        {"latent_channels": 16, "quantised": False},
    ],
    ids=["three scales", "16 channels"],
)
def test_other_shapes(options: dict[str, Any]) -> None:
    vae = random_vae(**options)
    latents = noise(1, options.get("latent_channels", 4), 7, 10)
    ours = loaded(vae)
    assert float((ours.decode(latents, tile=3) - decoded(vae, latents)).abs().max()) < EXACT
    picture = torch.rand(1, 3, 40, 24)
    expected = vae.encode(picture * 2 - 1).latent_dist.mean
    assert torch.allclose(ours.encode(picture, tile=2), expected, atol=EXACT)


def test_through_scratch_files_and_side_by_side(fine: ts.AutoEncoder) -> None:
    latents = noise(1, 4, 64, 60)
    alone = fine.decode(latents, tile=8, threads=1)
    assert torch.equal(fine.decode(latents, tile=8, threads=2), alone)
    plan = fine.plan(latents.shape, memory="12MiB")
    assert plan.scratch
    assert plan.moved.read_bytes > plan.moved.written_bytes > 0
    assert "written" in str(plan)
    assert "read again" in str(plan)
    made = fine.decode(latents, memory="12MiB")
    assert float((made - alone).abs().max()) < EXACT


def test_the_planes_that_are_held_are_those_that_the_plan_counts(
    fine: ts.AutoEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every plane of a pass lies where it was planned, and goes when nobody reads it any more."""
    alive: dict[int, int] = {}
    most = 0
    empty = planes.TensorPlane.empty

    def made(frames: int, channels: int, size: Any, *where: Any) -> planes.TensorPlane:
        nonlocal most
        plane = empty(frames, channels, size, *where)
        alive[id(plane)] = channels * size.area
        weakref.finalize(plane, alive.pop, id(plane))
        most = max(most, sum(alive.values()))
        return plane

    monkeypatch.setattr(planes.TensorPlane, "empty", made)
    latents = noise(1, 4, 16, 16)
    fine.decode(latents, tile=4, threads=1)
    # At the last scale: what the convolution that enlarges has made, 64 channels, and two of 32.
    assert most == 32 * 32 * (64 + 32 + 32)
    assert not alive


@pytest.mark.parametrize("wrap", ["x", "y", "xy"])
def test_pictures_that_go_around(vae: Any, fine: ts.AutoEncoder, wrap: str) -> None:
    """Rolled latents make the rolled picture, and every second copy of a tiled one is the same."""
    latents = noise(1, 4, 8, 10)
    plain = fine.decode(latents, tile=3, wrap=wrap)
    for axis, size in (("y", -2), ("x", -1)):
        if axis in wrap:
            rolled = fine.decode(latents.roll(3, size), tile=4, wrap=wrap)
            assert float((rolled - plain.roll(6, size)).abs().max()) < EXACT


def test_crops(fine: ts.AutoEncoder) -> None:
    latents = noise(1, 4, 9, 12)
    whole = fine.decode(latents, tile=None)
    part = fine.decode(latents, tile=2, crop=(5, 3, 13, 9))
    assert float((part - whole[:, :, 3:12, 5:18]).abs().max()) < EXACT


def test_16_bits_are_as_near_as_they_are_undivided(vae: Any, fine: ts.AutoEncoder) -> None:
    latents = noise(1, 4, 12, 9)
    exact = decoded(vae, latents)
    half = deepcopy(vae).to(torch.bfloat16)
    undivided = decoded(half, latents.to(torch.bfloat16)).float()
    ours = loaded(vae, dtype="bfloat16").decode(latents, tile=4).float()
    assert float((ours - exact).square().mean()) < 1.5 * float((undivided - exact).square().mean())


def test_attention_in_blocks(fine: ts.AutoEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    latents = noise(1, 4, 9, 11)
    whole = fine.decode(latents, tile=None)
    monkeypatch.setattr(attention, "_KEYS", 17)
    monkeypatch.setattr(attention, "_QUERIES", 5)
    assert float((fine.decode(latents, tile=4) - whole).abs().max()) < EXACT


def test_memory_that_runs_out_makes_smaller_tiles(
    fine: ts.AutoEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = noise(1, 4, 12, 12)
    whole = fine.decode(latents, tile=12)
    run = TileMaking._made
    failed = 0

    def failing(make: Any, block: Any, *state: Any, **named: Any) -> Any:
        nonlocal failed
        if block.region.area > 150:
            failed += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(make, block, *state, **named)

    monkeypatch.setattr(TileMaking, "_made", failing)
    assert float((fine.decode(latents, tile=12) - whole).abs().max()) < EXACT
    assert failed > 10


def test_progress_goes_on_through_all_passes(fine: ts.AutoEncoder, tmp_path: Path) -> None:
    told: list[float] = []
    ts.render(
        noise(1, 4, 12, 12),
        tmp_path / "out.png",
        model=fine,
        on_progress=lambda done, total: told.append(done / (total or 1)),
    )
    assert told == sorted(told)
    assert len(told) > 10
    assert told[0] < 0.3
    assert told[-1] == pytest.approx(1)


def test_gradients_are_refused(fine: ts.AutoEncoder) -> None:
    latents = noise(1, 4, 4, 4).requires_grad_()
    with pytest.raises(ts.InputError, match="decoder_module"):
        fine.decode(latents).sum().backward()
    module = fine.decoder_module()
    module(latents).sum().backward()
    assert latents.grad is not None
    assert float(latents.grad.abs().max()) > 0


def test_a_picture_smaller_than_a_latent(fine: ts.AutoEncoder) -> None:
    with pytest.raises(ts.InputError, match="picture"):
        fine.encode(torch.rand(1, 3, 1, 9))


def test_norms_of_a_picture_that_is_small_are_estimated_from_all_of_it(vae: Any) -> None:
    """Where nothing is reduced, the estimate is exact: all else is, too."""
    latents = noise(1, 4, 21, 18)
    fast = loaded(vae, fast_norms=True)
    for tile in (None, 5, (3, 8)):
        made = fast.decode(latents, tile=tile)
        assert float((made - decoded(vae, latents)).abs().max()) < EXACT
    picture = torch.rand(1, 3, 22, 30)
    expected = vae.encode(picture * 2 - 1).latent_dist.mean
    assert torch.allclose(fast.encode(picture, tile=4), expected, atol=EXACT)


def test_estimated_norms(vae: Any) -> None:
    """Tiles agree with each other, and are nearer to the truth than tiles for themselves."""
    gentle = deepcopy(vae)
    for name, weight in gentle.named_parameters():
        if "to_q" in name:
            weight.data *= 0.1
    latents = noise(1, 4, 80, 72)
    fast, exact = loaded(gentle, fast_norms=True), loaded(gentle).decode(latents)
    plan = fast.plan(latents.shape)
    assert len(plan.passes) == 3
    assert "norms estimated" in str(plan)
    made = fast.decode(latents, tile=None)
    assert float((fast.decode(latents, tile=30) - made).abs().max()) < EXACT
    alone = torch.cat(
        [decoded(gentle, latents[:, :, part]) for part in (slice(40), slice(40, 80))], 2
    )
    error, of_tiles = ((each - exact).square().mean() for each in (made, alone))
    assert 0 < float(error) < float(of_tiles)


def test_attention_within_windows(vae: Any, fine: ts.AutoEncoder) -> None:
    latents = noise(1, 4, 14, 12)
    wide = loaded(vae, fast_attention=28)
    assert float((wide.decode(latents) - fine.decode(latents)).abs().max()) < EXACT
    narrow = loaded(vae, fast_attention=3)
    assert "windows of 3 latents" in str(narrow.plan(latents.shape))
    made = narrow.decode(latents, tile=None)
    assert float((narrow.decode(latents, tile=4) - made).abs().max()) < EXACT
    # Rows beyond the windows of the first ones are not seen by these, but for norms.
    assert float((made - fine.decode(latents)).abs().max()) > 0.01


def test_shortcuts_that_there_are_not(vae: Any) -> None:
    for options in ({"fast_norms": True}, {"fast_attention": 8}):
        with pytest.raises(ts.InputError, match="only computed as it is"):
            ts.load("nano", **options)
    with pytest.raises(ts.InputError, match="found 0"):
        loaded(vae, fast_attention=0)
