"""The time in a plan: what was found by a trial is kept, and found again where all is as it was."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import taesd_stream as ts
from taesd_stream.engine import speed_trial, speeds
from taesd_stream.engine.load import outline
from taesd_stream.engine.options import ModelOptions
from taesd_stream.engine.speed_trial import learn_speed
from taesd_stream.engine.speeds import Speed, keep_speed
from tiling import Effort

Models = Callable[..., ts.AutoEncoder]

SHAPE = (3, 4, 16, 24)
SPEED = Speed(1e-4, 1e-10)
ON_CPU = ModelOptions(device="cpu", backend="torch")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAESD_STREAM_CACHE", str(tmp_path))
    return tmp_path / "speeds"


@pytest.fixture
def crowds(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What a trial finds, look by look: whether others are at work. None, until a test says so."""
    looks: list[bool] = []
    monkeypatch.setattr(
        speed_trial.CrowdWatch, "saw_a_crowd", lambda watch: looks.pop(0) if looks else False
    )
    return looks


@pytest.mark.parametrize("name", ["taesd", "taef2", "taehv"])
def test_effort_is_what_a_plan_multiplies_and_begins(name: str, model: Models) -> None:
    ae = model(name)
    plan = ae.plan((2, 3, ae.spec.latent_channels, 32, 24)[name != "taehv" :], tile=8, threads=1)
    assert plan.effort.multiplied == plan.work
    layers = sum(
        len(each.body.layers) * len(planned.grid)
        for each, planned in zip(network_passes(ae), plan.passes, strict=True)
    )
    assert plan.effort.begun == layers


def network_passes(ae: ts.AutoEncoder) -> tuple:  # type: ignore[type-arg]
    from taesd_stream.engine.loaded_model import coder_of

    return coder_of(ae, "decode").network.passes


def test_a_plan_tells_the_time_of_all_steps_by_the_kept_speed(cache: Path, model: Models) -> None:
    ae = model("taesd")
    plan = ae.plan(SHAPE, threads=2)
    assert plan.seconds is None
    keep_speed(plan, SPEED)
    assert ae.plan(SHAPE, threads=2).seconds == pytest.approx(3 * SPEED.seconds(plan.effort))
    video = ae.open_video(torch.zeros(SHAPE), threads=2)
    assert video.plan.seconds is not None
    rest = video.part(1)
    assert rest is not None
    assert rest.plan.seconds == pytest.approx(2 / 3 * video.plan.seconds)
    assert ae.plan(SHAPE[1:], threads=2).seconds is None
    assert ae.plan(SHAPE, threads=1).seconds is None
    assert model("taesd", "bfloat16").plan(SHAPE, threads=2).seconds is None
    assert model("nano").plan(SHAPE, threads=2).seconds is None


def test_another_machine_has_another_speed(
    cache: Path, model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae = model("taesd")
    keep_speed(ae.plan(SHAPE), SPEED)
    monkeypatch.setattr(speeds, "_processor", lambda: "another")
    assert ae.plan(SHAPE).seconds is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: "",
        lambda kept: "[" * 100_000,
        lambda kept: "[]",
        lambda kept: json.dumps({**kept, "conditions": {}}),
        lambda kept: json.dumps({**kept, "speed": {"layer_seconds": 1.0}}),
        lambda kept: json.dumps({**kept, "speed": {**kept["speed"], "layer_seconds": "1"}}),
        lambda kept: json.dumps({**kept, "speed": {**kept["speed"], "layer_seconds": -1.0}}),
        lambda kept: json.dumps({**kept, "speed": {**kept["speed"], "layer_seconds": 1e999}}),
    ],
)
def test_what_is_damaged_or_of_others_is_as_if_it_were_not_there(
    damage: Callable[[dict[str, dict[str, object]]], str], cache: Path, model: Models
) -> None:
    ae = model("taesd")
    keep_speed(ae.plan(SHAPE), SPEED)
    (path,) = cache.iterdir()
    path.write_text(damage(json.loads(path.read_text())))
    assert ae.plan(SHAPE).seconds is None


def test_a_cache_that_cannot_be_written_is_done_without(cache: Path, model: Models) -> None:
    cache.write_text("a file where the folder would be")
    keep_speed(model("taesd").plan(SHAPE), SPEED)
    assert model("taesd").plan(SHAPE).seconds is None


def test_of_two_efforts_the_parts_are_told_apart_or_all_is_multiplying() -> None:
    small, large = Effort(40, 1e6), Effort(60, 1e9)
    told = Speed.of((small, SPEED.seconds(small)), (large, SPEED.seconds(large)))
    assert told.layer_seconds == pytest.approx(SPEED.layer_seconds)
    assert told.multiply_add_seconds == pytest.approx(SPEED.multiply_add_seconds)
    assert Speed.of((small, 0.0), (large, 1.0)) == Speed(0.0, 1e-9)
    assert Speed.of((large, 1.0), (large, 1.0)) == Speed(0.0, 1e-9)


@pytest.mark.parametrize(("name", "threads"), [("nano", 1), ("nano", 2), ("taesdv", 2)])
def test_a_trial_is_made_as_the_plan_computes_and_kept(
    name: str, threads: int, cache: Path, crowds: list[bool], model: Models
) -> None:
    ae = model(name)
    shape = (2, 4, 4, 48, 48)[name == "nano" :]
    plan = ae.plan(shape, threads=threads, tile=24)
    assert plan.threads == threads
    speed = learn_speed(ae, plan, ON_CPU)
    assert speed is not None
    expected = speed.seconds(plan.effort * (4 if name == "nano" else 8))
    assert expected > 0
    assert ae.plan(shape, threads=threads, tile=24).seconds == pytest.approx(expected)


def test_an_encoder_has_a_speed_of_its_own(cache: Path, crowds: list[bool], model: Models) -> None:
    ae = model("nano")
    shape = (1, 3, 128, 128)
    assert learn_speed(ae, ae.plan(shape, action="encode"), ON_CPU) is not None
    assert ae.plan(shape, action="encode").seconds is not None
    assert ae.plan(SHAPE).seconds is None


@pytest.mark.parametrize("looks", [[True], [False, True]])
def test_in_a_crowd_the_time_of_one_core_counts_and_is_not_kept(
    looks: list[bool],
    cache: Path,
    crowds: list[bool],
    model: Models,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowds += looks
    ae = model("nano")
    ticks = itertools.count()
    clock = SimpleNamespace(process_time=lambda: 5.0 * next(ticks), sleep=lambda seconds: None)
    monkeypatch.setattr(speed_trial, "time", SimpleNamespace(**vars(time) | vars(clock)))
    speed = learn_speed(ae, ae.plan(SHAPE, threads=2), ON_CPU)
    one = ae.plan((1, 4, 4, 4), threads=1).effort
    assert speed == Speed(0.0, pytest.approx(1.15 * 5.0 / one.multiplied))
    assert not cache.exists()


def test_an_outline_without_weights_is_tried_by_its_shapes(cache: Path, crowds: list[bool]) -> None:
    ae = outline("taesd", ON_CPU)
    plan = ae.plan(SHAPE)
    assert learn_speed(ae, plan, ON_CPU) is not None
    assert ae.plan(SHAPE).seconds is not None
    assert learn_speed(ae, replace(plan, where="cpu int8 openvino"), ON_CPU) is None
