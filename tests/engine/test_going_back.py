"""Going back through tiles keeps little, stays within the budget, and is planned."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.gradients.in_time import InTime
from taesd_stream.engine.gradients.pulling import Outward
from taesd_stream.engine.gradients.tiles import Tiles
from tests.engine.conftest import narrow_model_named
from tests.engine.gradient_checks import (
    Models,
    check,
    plain,
    properties,
    pulled,
    random_input,
)


@properties
@given(steps=st.integers(1, 4), states=st.integers(2, 4), threads=st.integers(1, 2))
def test_videos_go_back_in_segments_from_states_kept_or_found_again(
    steps: int, states: int, threads: int, narrow: Models
) -> None:
    ae = narrow("taehv", "float64")
    source = random_input(ae, "decode", (1, 9, 3, 4))
    began = InTime.__init__

    def in_segments(self: InTime, tiles: Tiles, **_: int) -> None:
        began(self, tiles, steps=steps, states=states)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InTime, "__init__", in_segments)
        found = pulled(lambda given: ae.decode(given, tile=2, threads=threads), source)
    check(found, _undivided("taehv", 9, 3, 4))


def test_a_video_of_more_steps_than_fit_is_recorded_in_segments(narrow: Models) -> None:
    ae = narrow("taehv", "float64")
    shape = (1, 9, ae.spec.latent_channels, 8, 8)
    roomy = ae.plan(shape, action="decode backward", threads=1)
    assert roomy.batch == 9
    memory = roomy.peak_bytes // 3
    tight = ae.plan(shape, action="decode backward", threads=1, memory=memory, tile=8)
    assert 1 <= tight.batch < 9
    assert tight.peak_bytes <= memory
    source = random_input(ae, "decode", (1, 9, 8, 8))
    found = pulled(lambda given: ae.decode(given, memory=memory, tile=8, threads=1), source)
    check(found, pulled(plain(ae, "decode"), source))


@lru_cache(maxsize=1)
def _undivided(name: str, *sizes: int) -> Tensor:
    """The gradient of plain PyTorch, for an input of these sizes."""
    ae = narrow_model_named(name, "float64")
    return pulled(plain(ae, "decode"), random_input(ae, "decode", (1, *sizes)))


def test_planes_between_passes_go_through_scratch_files(narrow: Models) -> None:
    ae = narrow("taef2", "float64")
    source = random_input(ae, "decode", (1, 24, 20))
    options: Any = {"action": "decode backward", "threads": 1, "tile": 8}
    roomy = ae.plan(tuple(source.shape), **options)
    tight = ae.plan(tuple(source.shape), memory=roomy.peak_bytes - 1, **options)
    assert (roomy.scratch, tight.scratch) == (False, True)
    _, decoder = ae.coders
    assert decoder is not None
    gains = torch.ones(1, 3, 192, 160, dtype=torch.float64)
    module = ae.decoder_module()
    leaf = source.clone().requires_grad_()
    (expected,) = torch.autograd.grad(module(leaf).sum(), leaf)
    for threads in (1, 2):
        plan = replace(tight, threads=threads, cores=threads)
        found = decoder.backward.run(plan, source, Outward(gains, lambda step: step))
        check(found, expected)


def test_a_forward_pass_keeps_nothing_but_its_input(narrow: Models) -> None:
    ae = narrow("taesd")
    source = random_input(ae, "decode", (1, 8, 8)).requires_grad_()
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        ae.decode(source, tile=4)
    assert [each.data_ptr() for each in kept] == [source.data_ptr()]


def test_where_none_is_asked_for_nothing_is_recorded(narrow: Models) -> None:
    ae = narrow("taesd")
    source = random_input(ae, "decode", (1, 4, 4))
    assert not ae.decode(source).requires_grad
    with torch.no_grad():
        assert not ae.decode(source.clone().requires_grad_()).requires_grad
    assert not any(p.requires_grad for half in ae.coders if half for p in half.network.parameters())


def test_where_memory_runs_out_smaller_tiles_go_on(
    narrow: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae = narrow("taesd", "float64")
    source = random_input(ae, "decode", (1, 9, 8))
    back, sizes = Tiles.back, list[int]()

    def scarce(self: Tiles, block: Any, pool: Any) -> Any:
        sizes.append(block.region.area)
        if block.region.area > 64**2 // 2:
            raise MemoryError
        return back(self, block, pool)

    monkeypatch.setattr(Tiles, "back", scarce)
    found = pulled(lambda given: ae.decode(given, tile=None, threads=1), source)
    assert len(sizes) > 2
    check(found, pulled(plain(ae, "decode"), source))


def test_where_memory_runs_out_a_video_is_cut_into_smaller_tiles_alone(
    narrow: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae = narrow("taehv", "float64")
    source = random_input(ae, "decode", (1, 9, 4, 4))
    back, areas = Tiles.back_in_time, set[int]()

    def scarce(self: Tiles, block: Any, *states: Any) -> Any:
        areas.add(block.region.area)
        if block.region.area > 32**2 // 2:
            raise MemoryError
        return back(self, block, *states)

    monkeypatch.setattr(Tiles, "back_in_time", scarce)
    found = pulled(lambda given: ae.decode(given, tile=None, threads=1), source)
    assert areas == {32**2, 32**2 // 2}
    check(found, pulled(plain(ae, "decode"), source))


def test_a_budget_that_nothing_fits_is_refused_before_it_is_begun(narrow: Models) -> None:
    ae = narrow("taesd")
    z = random_input(ae, "decode", (1, 64, 64))
    with pytest.raises(ts.InputError, match="memory: taesd needs at least"):
        ae.plan(tuple(z.shape), action="decode backward", memory=1000)
    done: list[int] = []
    least = next(
        size
        for size in range(300_000, 10_000_000, 100_000)
        if _fits(ae, tuple(z.shape), "decode", size)
    )
    assert not _fits(ae, tuple(z.shape), "decode backward", least)
    with pytest.raises(ts.InputError, match="memory: taesd needs at least"):
        ae.decode(z.requires_grad_(), memory=least, threads=1, on_tile=lambda *_: done.append(1))
    assert not done


def _fits(ae: ts.AutoEncoder, shape: tuple[int, ...], action: Any, memory: int) -> bool:
    try:
        ae.plan(shape, action=action, memory=memory, threads=1)
    except ts.InputError:
        return False
    return True


def test_a_plan_of_the_way_back_says_so(narrow: Models) -> None:
    ae = narrow("taesd")
    plan = ae.plan((1, 4, 32, 32), action="decode backward", memory="64MiB", threads=2)
    assert str(plan).startswith("decode backward 1 frame of 256x256 pixels with taesd on cpu")
    with pytest.raises(ts.InputError, match=r"decode backward.*found 'back'"):
        ae.plan((1, 4, 32, 32), action="back")  # type: ignore[arg-type]
