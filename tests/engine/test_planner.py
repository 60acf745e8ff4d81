"""Plans keep to their budget and say exactly how much will be computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine import budget
from taesd_stream.engine.loaded_model import coder_of
from tests.convolution import counted_work

Models = Callable[..., ts.AutoEncoder]
MIB = 1 << 20

properties = settings(max_examples=10, deadline=None, derandomize=True)


@properties
@given(
    name=st.sampled_from(["taesd", "taef2", "taesana", "nano", "latent2rgb", "taesdv", "taehv"]),
    plane=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    budget=st.integers(16, 1024),
)
def test_a_plan_stays_under_its_budget_or_says_what_it_takes(
    name: str, plane: tuple[int, int], budget: int, model: Models
) -> None:
    ae = model(name)
    shape = (1, ae.spec.latent_channels, *plane)
    if ae.plan(shape, tile=1, memory=1 << 50).peak_bytes > budget * MIB:
        with pytest.raises(ts.InputError, match="needs at least"):
            ae.plan(shape, memory=budget * MIB)
    else:
        plan = ae.plan(shape, memory=budget * MIB)
        assert plan.peak_bytes <= plan.budget_bytes == budget * MIB


@settings(properties, max_examples=6)
@given(
    name=st.sampled_from(["taesdv", "taehv", "taeh3", "taem1"]),
    plane=st.tuples(st.integers(1, 100), st.integers(1, 100)),
    budget=st.integers(16, 512),
)
def test_a_plan_of_a_stream_stays_under_its_budget_too(
    name: str, plane: tuple[int, int], budget: int, model: Models
) -> None:
    ae = model(name)
    shape = (ae.spec.latent_channels, *plane)
    half = ae.plan(shape, memory=1 << 50).peak_bytes // 2
    for count in {budget * MIB, half}:
        try:
            plan = ae.plan(shape, memory=count)
        except ts.InputError as error:
            assert "needs at least" in str(error)  # noqa: PT017 (some budgets suffice)
        else:
            assert plan.peak_bytes <= plan.budget_bytes == count
            assert plan.state is not None


@pytest.mark.parametrize(("action", "least"), [("decode", 8), ("encode", 512)])
def test_half_the_budget_is_half_the_memory_and_not_an_error(
    action: str, least: int, model: Models
) -> None:
    ae = model("taesd")
    shape = (1, 4, 256, 256) if action == "decode" else (1, 3, 2048, 2048)
    works = []
    for megabytes in (16384, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8):
        if megabytes < least:
            break
        plan = ae.plan(shape, action=action, memory=megabytes * MIB)
        assert plan.peak_bytes <= megabytes * MIB
        works.append(plan.work)
    assert works[-1] > works[0]


def test_too_little_is_an_error_that_says_how_much_would_do(model: Models) -> None:
    with pytest.raises(ts.InputError, match=r"needs at least [\d.]+ MiB .* 100 KiB asked") as no:
        model("taesd").plan((1, 4, 64, 64), memory="100KiB")
    assert "\n" not in str(no.value)
    least = model("taesd").plan((1, 4, 64, 64), tile=1).peak_bytes
    assert model("taesd").plan((1, 4, 64, 64), memory=least).tile.area == 1
    with pytest.raises(ts.InputError):
        model("taesd").plan((1, 4, 64, 64), memory=least - 1)


def test_a_named_tile_and_a_named_budget_that_disagree_are_refused(model: Models) -> None:
    ae = model("taesd")
    for tile in (64, None):
        with pytest.raises(ts.InputError, match="a tile of 64x64 latents needs about"):
            ae.plan((1, 4, 64, 64), tile=tile, memory="32MiB")
    assert ae.plan((1, 4, 64, 64), tile=8, memory="32MiB").tile.height == 8


def test_undivided_is_never_the_default_above_the_budget(model: Models) -> None:
    ae = model("taesd")
    for side in (8, 32, 128):
        needed = ae.plan((1, 4, side, side), tile=None).peak_bytes
        assert ae.plan((1, 4, side, side), memory=needed - 1).tiles > 1


@pytest.mark.parametrize(
    "tile", [0, -4, 2.5, "64", (4,), (4, 0), (1, 2, 3), [4, 4], True, ("a", 2)], ids=repr
)
def test_a_tile_that_makes_no_sense_is_refused_and_quoted(tile: object, model: Models) -> None:
    with pytest.raises(ts.InputError, match="tile: expected auto, None, or latents") as caught:
        model("taesd").plan((1, 4, 8, 8), tile=tile)  # type: ignore[arg-type]
    assert repr(tile) in str(caught.value)


@pytest.mark.parametrize("overlap", [-1, 1.5, "8", True, None], ids=repr)
def test_an_overlap_that_makes_no_sense_is_refused_and_quoted(
    overlap: object, model: Models
) -> None:
    with pytest.raises(ts.InputError, match="overlap: expected exact, or latents") as caught:
        model("taesd").plan((1, 4, 8, 8), overlap=overlap)  # type: ignore[arg-type]
    assert repr(overlap) in str(caught.value)


def test_tiles_are_equal_and_no_larger_than_asked(model: Models) -> None:
    ae = model("taesd")
    for tile, largest in [(64, (33, 50)), ((8, 100), (8, 50)), (1000, (65, 50)), (None, (65, 50))]:
        found = ae.plan((1, 4, 65, 50), tile=tile).tile
        assert (found.height, found.width) == largest


def test_what_pytorch_would_upsample_wrongly_is_refused(model: Models) -> None:
    ae = model("taesd")
    with pytest.raises(ts.InputError, match="elements at once, more than the 2,147,483,647"):
        ae.plan((1, 4, 2000, 2000), tile=None, memory="64TiB")
    plan = ae.plan((1, 4, 2000, 2000), memory="64TiB")
    assert max(each.peak_elements for each in plan.passes) < 2**31


def test_planning_again_takes_what_was_worked_out(model: Models) -> None:
    ae = model("taesd")
    assert ae.plan((1, 4, 99, 77), memory=MIB * 512) == ae.plan((1, 4, 99, 77), memory=MIB * 512)


def test_a_tile_of_64_computes_little_twice(model: Models) -> None:
    """Carrying the whole halo through every layer would make it 1.5."""
    ae = model("taesd")
    assert 0.02 < ae.plan((1, 4, 128, 128), tile=64).recompute < 0.08
    assert 0.02 < ae.plan((1, 4, 1024, 1024), tile=64).recompute < 0.09
    assert ae.plan((1, 4, 128, 128), tile=None).recompute == 0


def of_statistics(tensor: Tensor, weight: Tensor) -> int:
    """What a global branch multiplies besides its convolutions: every pair of channels."""
    opens = weight.shape[0] == 4 * weight.shape[1] and weight.shape[2] == 1
    return tensor.shape[1] ** 2 * tensor[0, 0].numel() if opens else 0


def multiplied(run: Callable[[], object]) -> int:
    """Multiply-adds that were really done, what a model does once for all aside."""
    run()
    with counted_work(of_statistics) as work:
        run()
    return work.done


@pytest.mark.parametrize("tile", [None, 2, (3, 5), 4], ids=str)
@pytest.mark.parametrize("name", ["taesd", "taef2", "taesana"])
def test_the_work_of_a_plan_is_what_is_multiplied(name: str, tile: object, narrow: Models) -> None:
    ae = narrow(name)
    side = 5 if name == "taesana" else 9
    latents = torch.zeros(1, ae.spec.latent_channels, side, 4)
    plan = ae.plan(latents.shape, tile=tile)
    assert multiplied(lambda: ae.decode(latents, tile=tile)) == plan.work
    images = torch.zeros(1, 3, ae.spec.spatial_scale * 3 - 3, ae.spec.spatial_scale * 5 - 1)
    plan = ae.plan(images.shape, tile=tile, action="encode")
    assert multiplied(lambda: ae.encode(images, tile=tile)) == plan.work


@pytest.mark.parametrize("tile", [None, 2], ids=str)
@pytest.mark.parametrize("name", ["taesdv", "taehv", "taem1"])
def test_the_work_of_a_plan_of_a_video_is_that_of_each_step(
    name: str, tile: object, narrow: Models
) -> None:
    ae = narrow(name)
    latents = torch.zeros(1, 2, ae.spec.latent_channels, 4, 3)
    work = ae.plan(latents.shape, tile=tile).work
    assert multiplied(lambda: ae.decode(latents, tile=tile)) == 2 * work
    frames = 2 * ae.spec.encode_timing.shrink
    images = torch.zeros(1, frames, 3, ae.spec.spatial_scale * 3, ae.spec.spatial_scale * 4 - 1)
    work = ae.plan(images.shape, tile=tile, action="encode").work
    counted = multiplied(lambda: ae.encode(images, tile=tile))
    assert counted == pytest.approx(frames * work, rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["taesdv", "taehv", "taew2_2_super", "taem1", "taeh3"])
def test_what_a_plan_says_is_remembered_is_what_is_remembered(
    name: str, dtype: str, narrow: Models
) -> None:
    def remembered(stream: ts.DecodeStream | ts.EncodeStream) -> int:
        return sum(kept.nbytes for kept in stream.save().states.values())

    ae = narrow(name, dtype)
    decoding = ae.open_stream(length=2, tile=None)
    decoding.push(torch.zeros(ae.spec.latent_channels, 4, 5))
    assert decoding.plan is not None
    assert decoding.plan.state is not None
    assert decoding.plan.state.tiles_bytes == remembered(decoding)
    state = ae.plan((3, 50, 70), action="encode", tile=None).state
    if state is None:  # taesdv encodes each frame for itself
        return
    encoding = ae.open_encode_stream(tile=None)
    most = 0
    for _ in range(2 * ae.spec.encode_timing.shrink):
        encoding.push(np.zeros((50, 70, 3), np.uint8))
        most = max(most, remembered(encoding))
    assert state.tiles_bytes == most


@pytest.mark.parametrize(("tile", "overlap"), [(4, 1), ((3, 9), 2)], ids=str)
def test_the_work_of_a_blended_plan_is_what_is_multiplied(
    tile: object, overlap: int, model: Models
) -> None:
    ae = model("taesd")
    latents = torch.zeros(1, 4, 10, 9)
    options = {"tile": tile, "overlap": overlap}
    plan = ae.plan(latents.shape, **options)
    assert multiplied(lambda: ae.decode(latents, **options)) == plan.work


def forget_free_memory(
    ae: ts.AutoEncoder, direction: Literal["decode", "encode"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next plan reads the free memory, whatever another test read a moment ago."""
    monkeypatch.setattr(coder_of(ae, direction), "_free", None)


@pytest.mark.parametrize("name", ["taesdv", "taehv", "taeh3", "taesd"])
def test_clips_of_one_shape_are_planned_once(
    name: str, narrow: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae = narrow(name)
    asked = []

    def free(device: torch.device) -> int:
        asked.append(device)
        return 1 << 30

    monkeypatch.setattr(budget, "default_budget", free)
    forget_free_memory(ae, "decode", monkeypatch)
    clips = torch.randn(3, 5, ae.spec.latent_channels, 2, 3)
    together = ae.decode(clips)
    assert len(asked) == 1
    torch.testing.assert_close(together[2:], ae.decode(clips[2:]))
    if ae.spec.encode_timing is not None:
        asked.clear()
        forget_free_memory(ae, "encode", monkeypatch)
        images = torch.rand(2, 9, 3, 32, 48)
        together = ae.encode(images)
        assert len(asked) == 1
        torch.testing.assert_close(together[1:], ae.encode(images[1:]))
