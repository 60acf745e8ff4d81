"""Previews of running pipelines: diffusers' own, with small random networks."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers", reason="diffusers' pipelines need transformers")

import diffusers

import taesd_stream as ts
from taesd_stream.diffusers import Preview, TiledVAE
from taesd_stream.diffusers.loop_watch import Choice, LoopWatch
from taesd_stream.diffusers.pictures import Picture, Pictures, Shown
from tests.engine.conftest import model_named
from tests.hosts import tiny_pipelines as tiny
from video import read_image

diffusers.logging.set_verbosity_error()
# Of diffusers' own code with newer libraries.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:In CPU autocast")


class Waiting:
    """A preview's function that takes every picture before the pipeline goes on.

    Args:
        preview: Called before each wait.
    """

    def __init__(self, preview: Preview, came: list[Picture]) -> None:
        self._preview, self._came = preview, came

    def __call__(self, pipe: Any, index: int, t: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        before = len(self._came)
        made = self._preview(pipe, index, t, kwargs)
        assert made is kwargs
        self._preview._drawing.close()
        self.counts = [*getattr(self, "counts", []), len(self._came) - before]
        return made


def shown(model: Any, latents: Tensor) -> Picture:
    """The picture of (C, h, w) latents."""
    pixels = model.decode(latents[None])[0]
    return (pixels.permute(1, 2, 0) * 255 + 0.5).to(torch.uint8).numpy()  # type: ignore[no-any-return]


def told_by_the_scheduler(pipe: Any) -> list[Tensor]:
    """x0 of each step, as DDIM itself returns it, filled by a pipeline that is called now."""
    found: list[Tensor] = []
    step = pipe.scheduler.step

    def telling(*args: Any, **kwargs: Any) -> Any:
        outcome = step(*args, **kwargs)
        found.append(outcome[1])
        return outcome

    telling.__wrapped__ = step  # type: ignore[attr-defined]
    pipe.scheduler.step = telling
    return found


def assert_put_back(pipe: Any) -> None:
    assert "step" not in vars(pipe.scheduler)


# --- what is shown -----------------------------------------------------------------------------


@pytest.mark.parametrize("is_watched", [False, True])
def test_pictures_are_of_x0_and_the_result_stays_the_same(
    sd: tiny.TinyPipeline, is_watched: bool
) -> None:
    expected, came = sd(), list[Picture]()
    x0 = told_by_the_scheduler(sd.pipe)
    preview = Preview(model_named("latent2rgb"), came.append)
    waiting = Waiting(preview, came)
    if is_watched:
        with preview.watching(sd.pipe):
            made = sd(callback_on_step_end=waiting)
    else:
        made = sd(callback_on_step_end=waiting)
    assert torch.equal(made, expected)
    assert waiting.counts == [int(is_watched), 1, 1, 1]
    for picture, latents in zip(came, x0[-len(came) :], strict=True):
        assert np.array_equal(picture, shown(model_named("latent2rgb"), latents[0]))
    assert preview.failure is None


def test_noisy_latents_are_shown_on_demand_and_every_few_steps(sd: tiny.TinyPipeline) -> None:
    came, seen = list[Picture](), list[Tensor]()
    preview = Preview(model_named("latent2rgb"), came.append, x0=False, every=3)
    waiting = Waiting(preview, came)

    def both(pipe: Any, index: int, t: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        seen.append(kwargs["latents"])
        return waiting(pipe, index, t, kwargs)

    sd(callback_on_step_end=both)
    assert waiting.counts == [0, 0, 1, 1]
    assert np.array_equal(came[0], shown(model_named("latent2rgb"), seen[2][0]))


def test_a_single_step_is_shown(sd: tiny.TinyPipeline) -> None:
    came = list[Picture]()
    with Preview(model_named("latent2rgb"), came.append) as preview:
        latents = sd("latent", num_inference_steps=1, callback_on_step_end=preview)
    assert np.array_equal(came[0], shown(model_named("latent2rgb"), latents[0]))


@pytest.mark.parametrize(
    ("name", "make", "size", "which"),
    [
        ("latent2rgb_flux1", tiny.flux_1, (64, 96), "middle"),
        ("taef2", tiny.flux_2, (64, 96), "middle"),
        ("taeltx_2", tiny.ltx, (64, 96), "first"),
        ("taew2_1", tiny.wan, None, "middle"),
        ("latent2rgb_flux1", tiny.cogvideo_x, None, "last"),
        ("latent2rgb", tiny.animate_lcm, None, "strip"),
    ],
)
def test_packed_latents_and_videos(name: str, make: Any, size: Any, which: Shown) -> None:
    ae, came = model_named(name), list[Picture]()
    pipeline = make(TiledVAE(ae))
    pictures = Pictures(ae, which)
    loop = LoopWatch(pipeline.pipe, Choice(x0=False))

    def called_back(pipe: Any, index: int, t: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        sketch = loop.step_ended(index, kwargs)
        if index == 1:
            assert sketch is not None
            came.append(pictures.of(sketch))
        return kwargs

    latents = pipeline("latent", callback_on_step_end=called_back)
    with ts.open_latents(latents, channels=ae.spec.latent_channels, size=size) as source:
        video = source[:]
    count = len(video)
    places = {"first": [0], "middle": [count // 2], "last": [count - 1], "strip": [0, 2, 4]}[which]
    alone = [ae.decode(video[None, place : place + 1], tile=None)[0, -1] for place in places]
    expected = torch.cat(alone, dim=-1).permute(1, 2, 0) * 255
    assert came[0].shape == expected.shape
    assert float((torch.from_numpy(came[0]) - expected).abs().max()) < 0.51


# --- where it is shown -------------------------------------------------------------------------


def test_a_file_is_replaced_and_a_folder_is_filled(sd: tiny.TinyPipeline, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    model = model_named("latent2rgb")
    with Preview(model, tmp_path / "now.png") as now, Preview(model, tmp_path / "all") as every:
        pair = Waiting(every, [])
        latents = sd("latent", callback_on_step_end=lambda *a: (now(*a), pair(*a))[1])
    assert sorted(os.listdir(tmp_path)) == ["all", "now.png"]
    assert np.array_equal(read_image(tmp_path / "now.png"), shown(model, latents[0]))
    assert sorted(os.listdir(tmp_path / "all")) == ["00000.png", "00001.png", "00002.png"]


def test_a_sink_that_was_given_is_not_closed(sd: tiny.TinyPipeline) -> None:
    closed, came = [], list[Picture]()
    sink = SimpleNamespace(write=came.append, close=lambda: closed.append(True))
    with Preview("latent2rgb", sink) as preview:
        sd(callback_on_step_end=preview)
    assert (len(came) > 0, closed) == (True, [])


def test_a_notebook(sd: tiny.TinyPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(ts.MissingExtraError, match=r"pip install 'taesd-stream\[notebook\]'"):
        Preview("latent2rgb")
    done: list[Any] = []
    handle = SimpleNamespace(update=lambda image: done.append(("update", image)))

    def display(image: Any, display_id: bool) -> Any:
        done.append(("display", image))
        return handle

    stand_in, displays = ModuleType("IPython"), ModuleType("IPython.display")
    stand_in.get_ipython = object  # type: ignore[attr-defined]
    displays.Image = lambda **image: image["data"][:3]  # type: ignore[attr-defined]
    displays.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", stand_in)
    monkeypatch.setitem(sys.modules, "IPython.display", displays)
    preview = Preview("latent2rgb", "notebook")
    sd(callback_on_step_end=Waiting(preview, []))
    assert done == [("display", b"\xff\xd8\xff"), *[("update", b"\xff\xd8\xff")] * 2]
    stand_in.get_ipython = lambda: None  # type: ignore[attr-defined]
    with pytest.raises(ts.InputError, match="outside of notebooks"):
        Preview("latent2rgb")


# --- it never is in the way --------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["network", "interrupt", "callback"])
def test_the_scheduler_is_as_it_was_whatever_ends_the_loop(
    sd: tiny.TinyPipeline, fault: str
) -> None:
    preview = Preview("latent2rgb", lambda picture: None)
    was_wrapped, forward = [], sd.pipe.unet.forward

    def failing(*args: Any, **kwargs: Any) -> Any:
        was_wrapped.append("step" in vars(sd.pipe.scheduler))
        if len(was_wrapped) == 3 and fault == "network":
            raise RuntimeError("network")
        return forward(*args, **kwargs)

    def called_back(pipe: Any, index: int, t: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        preview(pipe, index, t, kwargs)
        if index == 1 and fault == "callback":
            raise RuntimeError("callback")
        pipe._interrupt = index == 1 and fault == "interrupt"
        return kwargs

    sd.pipe.unet.forward = failing
    if fault == "interrupt":
        sd("latent", callback_on_step_end=called_back)
    else:
        with pytest.raises(RuntimeError, match=fault):
            sd(callback_on_step_end=called_back)
    assert was_wrapped[:2] == [False, True]
    assert_put_back(sd.pipe)
    sd.pipe.unet.forward = forward
    sd(callback_on_step_end=preview)
    assert_put_back(sd.pipe)
    assert preview.failure is None


def test_what_goes_wrong_is_logged_once(
    sd: tiny.TinyPipeline, caplog: pytest.LogCaptureFixture
) -> None:
    expected = sd()

    def fail(picture: Picture) -> None:
        raise OSError("the disk is full")

    with caplog.at_level(logging.WARNING, "taesd_stream"):
        for model, target, said in [
            ("latent2rgb", fail, "OSError: the disk is full"),
            ("latent2rgb_flux1", lambda picture: None, "expected latents of 16 channels, found 4"),
        ]:
            preview = Preview(model, target)
            caplog.clear()
            assert torch.equal(sd(callback_on_step_end=Waiting(preview, [])), expected)
            assert len(caplog.records) == 1
            assert said in caplog.text
            assert said in str(preview.failure)
        caplog.clear()
        preview.close()
        preview._faults.first = None
        sd(callback_on_step_end=preview)
        sd(callback_on_step_end=preview)
        assert "found that it was closed" in caplog.text


def test_options_that_make_no_sense_are_refused_at_once(tmp_path: Path) -> None:
    for options, said in [
        ({"every": 0}, "every: expected a number of steps from 1 up, found 0"),
        ({"shown": "all"}, "shown: expected one of first, middle, last, strip, found 'all'"),
        ({"target": tmp_path / "none" / "a.png"}, "there is no folder"),
        ({"target": 3}, "target: expected"),
    ]:
        with pytest.raises(ts.InputError, match=said):
            Preview(**{"model": "latent2rgb", "target": print, **options})  # type: ignore[arg-type]
    with pytest.raises(ts.InputError, match="found 'no such model'"):
        Preview("no such model", print)
