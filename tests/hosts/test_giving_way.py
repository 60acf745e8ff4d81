"""How seldom pictures are made beside a sampler that has all cores."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("diffusers")

from taesd_stream.diffusers import giving_way
from taesd_stream.diffusers.giving_way import GivingWay
from taesd_stream.diffusers.pictures import Pictures, Sketch
from taesd_stream.engine.cores import SpareCores
from tests.engine.conftest import model_named


def test_a_fiftieth_of_the_time_unless_cores_are_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SpareCores, "are_there", lambda cores: is_idle)
    is_idle = False
    clock = iter((0.0, 9.0, 10.0, 10.64, 20.0, 22.0))  # a first, the one that counts, a real one
    monkeypatch.setattr(giving_way, "perf_counter", lambda: next(clock))
    way = GivingWay(model_named("latent2rgb"), threads=1)
    assert [way.may_begin(100, rested) for rested in (48.9, 49.1)] == [False, True]
    with way.timing(400):
        pass
    assert [way.may_begin(100, rested) for rested in (24.4, 24.6)] == [False, True]
    is_idle = True
    assert way.may_begin(100, 0.0)


def test_what_a_picture_is_decoded_of() -> None:
    pipe = SimpleNamespace()
    strip = Pictures(model_named("taew2_1"), "strip")
    video = Sketch(torch.zeros(2, 16, 5, 4, 6), "NCTHW", None)
    assert strip.latents_in(video) == 3 * 4 * 6
    assert Pictures(model_named("taew2_1")).latents_in(video) == 4 * 6
    packed = Sketch.of(torch.zeros(1, 12, 64), pipe, (64, 96))
    assert Pictures(model_named("latent2rgb_flux1")).latents_in(packed) == 8 * 6
