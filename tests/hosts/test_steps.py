"""Pipelines of diffusers that are iterated over, with small random networks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="diffusers' pipelines need transformers")

import diffusers
from diffusers.callbacks import PipelineCallback

import taesd_stream as ts
from taesd_stream.diffusers import TiledVAE, steps
from tests.engine.conftest import model_named
from tests.hosts import tiny_pipelines as tiny
from tests.hosts.test_preview import shown, told_by_the_scheduler

diffusers.logging.set_verbosity_error()
# Of diffusers' own code with newer libraries.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:In CPU autocast")


def words_of(pipeline: tiny.TinyPipeline) -> dict[str, Any]:
    return {"output_type": "pt", **pipeline.words, "generator": torch.Generator().manual_seed(1)}


def assert_left(pipe: Any) -> None:
    assert "step" not in vars(pipe.scheduler)
    others = [each for each in threading.enumerate() if each.name == "taesd-stream"]
    assert others == []


def test_every_step_comes_with_its_x0_and_the_result_is_there(sd: tiny.TinyPipeline) -> None:
    expected = sd()
    x0 = told_by_the_scheduler(sd.pipe)
    run = steps(sd.pipe, **words_of(sd))
    with pytest.raises(ts.InputError, match="expected a loop that came to its end"):
        _ = run.result
    came = list(run)
    assert [index for index, _ in came] == [0, 1, 2, 3]
    for (_, picture), latents in zip(came, x0, strict=True):
        assert np.array_equal(picture, shown(model_named("latent2rgb"), latents[0]))
    assert torch.equal(run.result.images, expected)
    del sd.pipe.scheduler.step
    assert_left(sd.pipe)
    with pytest.raises(ts.InputError, match="call steps again"):
        iter(run)


def test_every_few_steps_of_packed_latents() -> None:
    ae = model_named("latent2rgb_flux1")
    pipeline = tiny.flux_1(TiledVAE(ae))
    words = {**words_of(pipeline), "num_inference_steps": 4, "output_type": "latent"}
    run = steps(pipeline.pipe, every=3, **words)
    came = list(run)
    assert [(index, picture.shape) for index, picture in came] == [
        (2, (64, 96, 3)),
        (3, (64, 96, 3)),
    ]
    with ts.open_latents(run.result.images, channels=16, size=(64, 96)) as source:
        # The last x0 is what the pipeline returns, but for the last bits.
        last = shown(ae, source[0])
    assert int(np.abs(came[-1][1].astype(int) - last).max()) <= 1


def test_who_leaves_early_stops_the_pipeline(sd: tiny.TinyPipeline) -> None:
    expected = sd()
    calls, forward = [], sd.pipe.unet.forward

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return forward(*args, **kwargs)

    sd.pipe.unet.forward = counting
    run = steps(sd.pipe, **{**words_of(sd), "num_inference_steps": 40})
    for index, _ in run:
        if index == 1:
            break
    assert_left(sd.pipe)
    assert len(calls) <= 5
    with pytest.raises(ts.InputError, match="found none"):
        _ = run.result
    assert torch.equal(sd(), expected)


class Old:
    """A pipeline that cannot be interrupted, nor tells how many steps there are."""

    def __init__(self) -> None:
        self.scheduler = diffusers.DDIMScheduler(clip_sample=False)
        self.steps_made = 0

    def __call__(self, callback_on_step_end: Callable[..., Any]) -> None:
        self.scheduler.set_timesteps(40)
        latents = torch.zeros(1, 4, 2, 3)
        for index, t in enumerate(self.scheduler.timesteps):
            latents = self.scheduler.step(latents, t, latents, return_dict=False)[0]
            self.steps_made += 1
            callback_on_step_end(self, index, t, {"latents": latents})


def test_who_leaves_early_stops_a_pipeline_that_cannot_be_interrupted() -> None:
    pipe = Old()
    for index, picture in steps(pipe, model="latent2rgb"):
        assert picture.shape == (16, 24, 3)
        if index == 1:
            break
    assert_left(pipe)
    assert pipe.steps_made <= 5


def test_what_the_pipeline_raises_is_raised_in_the_loop(sd: tiny.TinyPipeline) -> None:
    forward, calls = sd.pipe.unet.forward, []

    def failing(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of everything")
        return forward(*args, **kwargs)

    sd.pipe.unet.forward = failing
    came = []
    with pytest.raises(RuntimeError, match="out of everything"):
        came.extend(index for index, _ in steps(sd.pipe, **words_of(sd)))
    assert_left(sd.pipe)
    with pytest.raises(ValueError, match="Provide either `prompt`"):
        list(steps(sd.pipe))


def test_the_callers_own_callback_and_autocast_are_kept(sd: tiny.TinyPipeline) -> None:
    seen = []

    class Own(PipelineCallback):  # type: ignore[misc]
        tensor_inputs = ["latents", "prompt_embeds"]  # noqa: RUF012

        def callback_fn(self, pipe: Any, index: int, t: Any, kwargs: Any) -> Any:
            seen.append((sorted(kwargs), torch.is_autocast_enabled("cpu")))
            return kwargs

    with torch.autocast("cpu", torch.bfloat16):
        list(steps(sd.pipe, callback_on_step_end=Own(), **words_of(sd)))
    assert seen == [(["latents", "prompt_embeds"], True)] * 4


def test_the_model_is_the_pipelines_own_and_a_pipeline_is_needed(sd: tiny.TinyPipeline) -> None:
    sd.pipe.vae = diffusers.AutoencoderKL(latent_channels=4, scaling_factor=0.5)
    with pytest.raises(ts.InputError, match="found AutoencoderKL in StableDiffusionPipeline"):
        steps(sd.pipe)
    with pytest.raises(ts.InputError, match="expected a pipeline of diffusers with a scheduler"):
        steps(SimpleNamespace())
