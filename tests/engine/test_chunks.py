"""Frames that are made in chunks, tile by tile, equal diffusers' undivided ones of each chunk."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.running.tile_making import TileMaking
from taesd_stream.engine.streams.frame_windows import Window, windows_of

pytest.importorskip("diffusers")

from tests.engine.full_vaes import random_svd_vae

EXACT = 1e-4  # of the range
properties = settings(max_examples=12, deadline=None, derandomize=True)
sides = st.integers(1, 9)
tiles = st.one_of(st.none(), st.integers(1, 6), st.tuples(st.integers(1, 6), st.integers(1, 6)))


@pytest.fixture(scope="module")
def vae() -> Any:
    return random_svd_vae()


@pytest.fixture(scope="module")
def fine(vae: Any) -> ts.AutoEncoder:
    return ts.load(vae.state_dict(), device="cpu", dtype="float32", convention="vae")


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def decoded(vae: Any, latents: Tensor, chunk: int) -> Tensor:
    """What diffusers' pipeline makes of one video, (T, C, h, w), with this decode_chunk_size."""
    parts = [vae.decode(part, num_frames=len(part)).sample for part in latents.split(chunk)]
    return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)


def difference(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().max())


def test_frames_and_their_mixtures_matter(vae: Any) -> None:
    latents = noise(4, 4, 6, 5)
    together = decoded(vae, latents, 4)
    assert float(together.std()) > 0.1
    assert difference(together, decoded(vae, latents, 2)) > 0.05
    with torch.no_grad():
        mixture = vae.decoder.mid_block.resnets[0].time_mixer.mix_factor
        before = mixture.clone()
        mixture += 1
        other = decoded(vae, latents, 4)
        mixture.copy_(before)
    assert difference(together, other) > 100 * EXACT


@properties
@given(
    size=st.tuples(sides, sides),
    tile=tiles,
    frames=st.tuples(st.integers(1, 7), st.integers(1, 5)),
)
def test_decoding(
    vae: Any, fine: ts.AutoEncoder, size: tuple[int, int], tile: Any, frames: tuple[int, int]
) -> None:
    (height, width), (count, chunk) = size, frames
    latents = noise(count, 4, height, width)
    made = fine.decode(latents, tile=tile, chunk=chunk)
    assert difference(made, decoded(vae, latents, chunk)) < EXACT


def test_videos_are_not_mixed(vae: Any, fine: ts.AutoEncoder) -> None:
    latents = noise(2, 5, 4, 4, 6)
    expected = torch.stack([decoded(vae, video, 3) for video in latents])
    assert difference(fine.decode(latents, tile=3, chunk=3), expected) < EXACT
    assert difference(fine.decode(latents), fine.decode(latents, chunk=14)) == 0


def test_through_scratch_files_and_side_by_side(fine: ts.AutoEncoder) -> None:
    latents = noise(3, 4, 40, 33)
    alone = fine.decode(latents, tile=8, threads=1)
    assert torch.equal(fine.decode(latents, tile=8, threads=2), alone)
    assert fine.plan(latents[None].shape, memory="8MiB").scratch
    assert difference(fine.decode(latents, memory="8MiB"), alone) < EXACT


def test_a_crop_of_what_goes_around(fine: ts.AutoEncoder) -> None:
    latents = noise(3, 4, 6, 7)
    whole = fine.decode(latents, tile=None)
    part = fine.decode(latents, tile=2, crop=(3, 1, 7, 9))
    assert difference(part, whole[:, :, 1:10, 3:10]) < EXACT
    around = fine.decode(latents, tile=2, wrap="x")
    rolled = fine.decode(latents.roll(2, 3), tile=3, wrap="x")
    assert difference(around.roll(4, 3), rolled) < EXACT


def test_one_blended_patch_is_the_whole(fine: ts.AutoEncoder) -> None:
    latents = noise(5, 4, 6, 7)
    whole = fine.decode(latents, chunk=2)
    assert difference(fine.decode(latents, tile=8, overlap=2, chunk=2), whole) < EXACT


def test_memory_that_runs_out_keeps_chunks_together(
    fine: ts.AutoEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = noise(4, 4, 8, 8)
    whole = fine.decode(latents, tile=8)
    run = TileMaking._made

    def failing(make: Any, block: Any, *state: Any, **named: Any) -> Any:
        if block.region.area > 70:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(make, block, *state, **named)

    monkeypatch.setattr(TileMaking, "_made", failing)
    assert difference(fine.decode(latents, tile=8), whole) < EXACT


def test_plans_count_all_frames_of_a_chunk(fine: ts.AutoEncoder) -> None:
    shape = (1, 30, 4, 16, 16)
    plans = [fine.plan(shape, tile=8, threads=1, chunk=chunk) for chunk in (2, 8)]
    assert plans[1].peak_bytes > 3 * plans[0].peak_bytes
    assert "in chunks of 8 frames" in str(plans[1])
    assert plans[1].to_json()["chunk"] == 8
    assert fine.plan((1, 5, 4, 16, 16)).chunk == 5
    assert fine.plan((4, 16, 16)).chunk == 14


@pytest.mark.parametrize("chunk", [0, -2, True, 2.5])
def test_no_such_chunk(fine: ts.AutoEncoder, chunk: Any) -> None:
    with pytest.raises(ts.InputError, match="chunk: expected frames from 1 up"):
        fine.decode(noise(2, 4, 2, 2), chunk=chunk)


def test_other_models_make_no_chunks() -> None:
    with pytest.raises(ts.InputError, match="chunk: expected none, found 3"):
        ts.load("latent2rgb", device="cpu").decode(noise(2, 4, 2, 2), chunk=3)


@pytest.mark.parametrize("frames", [None, slice(5, 8), slice(9, 10), slice(1, 9, 3)])
def test_streams_and_windows(vae: Any, fine: ts.AutoEncoder, frames: slice | None) -> None:
    """Chunks count from the video's first frame, whichever frames are wanted."""
    latents = noise(10, 4, 3, 4)
    expected = decoded(vae, latents, 4)[frames or slice(None)]
    run = fine.open_video(latents, frames=frames, chunk=4)
    made = torch.stack([torch.from_numpy(frame) for frame in run]).permute(0, 3, 1, 2)
    assert difference(made / 255, expected) <= 0.5 / 255 + EXACT
    coming = fine.stream(iter(latents), frames=frames, chunk=4)
    for one, other in zip(coming, made, strict=True):
        assert np.array_equal(one, other.permute(1, 2, 0))


def test_windows_hold_whole_chunks(fine: ts.AutoEncoder) -> None:
    decoder = fine.coders[1]
    assert decoder is not None

    def window(total: int | None, frames: slice | None) -> Window:
        latents = iter(()) if total is None else noise(total, 4, 1, 1)
        (found,) = windows_of(decoder.network, fine.spec, latents, frames, chunk=4)
        return found

    assert window(10, slice(5, 7)).latents == range(4, 8)
    assert window(10, slice(9, 10)).latents == range(8, 10)
    assert window(None, slice(5, 9)).latents == range(4, 12)
    assert window(None, None).latents.start == 0
    with pytest.raises(ts.InputError, match="numbers that rise"):
        window(10, slice(7, 2, -1))


def test_pushed_latents_wait_for_their_chunk(
    vae: Any, fine: ts.AutoEncoder, tmp_path: Path
) -> None:
    latents = noise(5, 4, 3, 3)
    with fine.open_stream(chunk=3) as live:
        counts = [len(live.push(latent)) for latent in latents[:4]]
        saved = live.save()
    assert counts == [0, 0, 3, 0]
    with fine.open_stream(chunk=3, state=saved) as later:
        assert later.push(latents[4]) == []
        last = torch.stack([torch.from_numpy(frame) for frame in later.flush()])
    assert difference(last.permute(0, 3, 1, 2) / 255, decoded(vae, latents, 3)[3:]) < 0.51 / 255
    saved.save(tmp_path / "half.safetensors")
    again = ts.StreamState.load(tmp_path / "half.safetensors")
    with pytest.raises(ts.InputError, match="in chunks of 2, found chunks of 3; give chunk=3"):
        fine.open_stream(chunk=2, state=again)


def test_a_file(vae: Any, fine: ts.AutoEncoder, tmp_path: Path) -> None:
    latents = noise(5, 4, 3, 4)
    done = ts.render(latents, tmp_path / "out.npy", model=fine, convention="vae", chunk=2)
    assert done.plan is not None
    assert done.plan.chunk == 2
    frames = torch.from_numpy(np.load(tmp_path / "out.npy")).permute(0, 3, 1, 2)
    assert difference(frames / 255, decoded(vae, latents, 2)) < 0.51 / 255


def test_pictures_in_bands_are_refused(fine: ts.AutoEncoder) -> None:
    with pytest.raises(ts.InputError, match="which is for videos"):
        fine.open_picture(ts.open_latents(noise(4, 3, 3), layout="CHW"))


def test_encoding_makes_each_latent_alone(vae: Any, fine: ts.AutoEncoder) -> None:
    frames = torch.rand(1, 3, 3, 12, 10, generator=torch.Generator().manual_seed(0))
    expected = vae.encode(frames[0] * 2 - 1).latent_dist.mean
    assert difference(fine.encode(frames, tile=3)[0], expected) < EXACT


def test_16_bits_are_as_near_as_they_are_undivided(vae: Any, fine: ts.AutoEncoder) -> None:
    latents = noise(3, 4, 8, 6)
    exact = decoded(vae, latents, 3)
    half = deepcopy(vae).to(torch.bfloat16)
    undivided = decoded(half, latents.to(torch.bfloat16), 3).float()
    ours = ts.load(vae.state_dict(), device="cpu", dtype="bfloat16", convention="vae")
    made = ours.decode(latents, tile=4).float()
    assert float((made - exact).square().mean()) < 1.5 * float((undivided - exact).square().mean())


def test_a_plain_module_takes_a_video_as_one_chunk(vae: Any, fine: ts.AutoEncoder) -> None:
    latents = noise(3, 4, 3, 4)
    module = fine.decoder_module()
    assert difference(module(latents).detach().clamp(0, 1), decoded(vae, latents, 3)) < EXACT
    module(latents[None]).square().sum().backward()
    mixtures = [
        weight.grad for name, weight in module.named_parameters() if name.endswith("mix_factor")
    ]
    assert mixtures
    assert all(each is not None and each.abs() > 0 for each in mixtures)
    assert (
        difference(fine.decode(latents), ts.load(module, convention="vae").decode(latents)) < EXACT
    )


def test_shortcuts_are_refused(vae: Any) -> None:
    for options in ({"fast_norms": True}, {"fast_attention": 8}):
        with pytest.raises(ts.InputError, match="for pictures"):
            ts.load(vae, device="cpu", **options)
