from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import taesd_stream as ts
from taesd_stream.engine.options import ModelOptions
from taesd_stream.engine.streams.frame_windows import chosen_frames
from taesd_stream.errors import InputError, LayoutError
from taesd_stream.jobs.decoding import plan_for
from taesd_stream.jobs.model_for_latents import default_model, open_with_model


@pytest.mark.parametrize(
    ("total", "frames", "numbers"),
    [
        (5, None, range(5)),
        (5, slice(2, 4), range(2, 4)),
        (5, slice(3, 99), range(3, 5)),
        (5, slice(-2, None), range(3, 5)),
        (5, slice(None, None, -2), range(4, -1, -2)),
        (None, None, range(sys.maxsize)),
        (None, slice(3, None), range(3, sys.maxsize)),
        (None, slice(3, 9, 2), range(3, 9, 2)),
        (None, slice(3, 10**30), range(3, sys.maxsize)),
    ],
)
def test_chosen_frames(total: int | None, frames: slice | None, numbers: range) -> None:
    assert chosen_frames(total, frames) == numbers


@pytest.mark.parametrize(
    ("total", "frames", "said"),
    [
        (5, slice(5, None), "the 5 frames, from 0 up, found none in 5:"),
        (5, slice(3, 3), "3:3"),
        (0, None, "0 frames"),
        (None, slice(-2, None), "unknown, found -2:"),
        (None, slice(None, -1), "unknown, found :-1"),
        (None, slice(None, None, -1), "unknown, found ::-1"),
        (None, slice(4, 2), "4:2"),
        (None, slice(10**30, None), "found none"),
    ],
)
def test_frames_that_are_not_there(total: int | None, frames: slice | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        chosen_frames(total, frames)


def test_default_models() -> None:
    assert default_model(4) == "taesd"
    with pytest.raises(InputError, match=r"taesd3 \(.*\) or taef1 \(.*--model"):
        default_model(16)
    assert (default_model(48), default_model(24), default_model(12)) == (
        "taew2_2",
        "taeh3",
        "taem1",
    )
    with pytest.raises(InputError, match=r"taeltx_2 \(LTX-2\) or taeltx2_3 \(LTX-2\.3"):
        default_model(128)
    with pytest.raises(InputError, match=r"taesd3 .*taew2_1 \(Wan 2\.1.* or taecvx .*--model"):
        default_model(16)
    with pytest.raises(InputError, match=r"of 7 channels, only of 4, .*16, .*32"):
        default_model(7)


def test_the_model_settles_the_layout() -> None:
    both = torch.zeros(1, 4, 16, 6, 8)
    with pytest.raises(LayoutError) as caught:
        plan_for(both)
    assert caught.value.readings == ("N C T H W", "N T C H W")
    assert plan_for(both, model="latent2rgb").frames == 16
    assert plan_for(both, model="latent2rgb_sd3").frames == 4
    assert plan_for(both, model=ts.load("latent2rgb")).frames == 16


def test_the_numbers_settle_the_layout_and_so_the_model(shared: Path) -> None:
    source, ae = open_with_model(shared / "latents" / "sd_ncthw.pt", None, planning=True)
    assert (source.layout, ae.spec.name) == ("N C T H W", "taesd")


def test_a_loaded_model_is_taken_as_it_is() -> None:
    ae = ts.load("latent2rgb", device="cpu")
    source, chosen = open_with_model(torch.zeros(2, 4, 6, 8), ae)
    assert chosen is ae
    assert len(source) == 2


def test_latents_and_model_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="16 channels"):
        open_with_model(torch.zeros(2, 4, 6, 8), "latent2rgb_sd3")


def test_what_was_opened_is_closed_when_there_is_no_model() -> None:
    closed = []

    def latents() -> Iterator[torch.Tensor]:
        try:
            yield torch.zeros(16, 4, 4)
        finally:
            closed.append(True)

    with pytest.raises(InputError, match="--model") as caught:
        open_with_model(latents(), None)
    assert closed, caught  # whose traceback holds the source, so that nobody else can close it


@pytest.mark.parametrize("frames", [None, slice(2, 5)])
def test_a_plan_is_that_of_the_work(tmp_path: Path, frames: slice | None) -> None:
    z = torch.zeros(6, 4, 9, 9)
    options = {"model": "latent2rgb", "frames": frames, "tile": 4, "memory": "50MiB"}
    plans = []
    done = ts.render(z, tmp_path / "a.npy", on_plan=plans.append, **options)
    assert [plan_for(z, **options)] == plans == [done.plan]


def test_a_source_of_the_callers_stays_open() -> None:
    with ts.open_latents(torch.zeros(2, 4, 6, 8)) as source:
        plan_for(source, model="latent2rgb")
        assert source[1].shape == (4, 6, 8)


@pytest.mark.parametrize("variant", ["taehv", "taecvx", "taesdv"])
def test_a_variant_alone_is_the_official_model_of_that_name(variant: str) -> None:
    channels = 4 if variant == "taesdv" else 16
    latents = torch.zeros(4, channels, 2, 3)
    _, ae = open_with_model(latents, None, ModelOptions(variant), planning=True)
    assert ae.spec.name == variant


def test_frames_of_a_plan_are_those_of_the_video_and_its_reduced_form() -> None:
    z = torch.zeros(5, 16, 2, 3)
    assert plan_for(z, model="taehv").frames == 17
    assert plan_for(z[:4], model="taecvx").frames == 16
    assert plan_for(z, model="taehv", frames=slice(4, 9)).frames == 5
    reduced = plan_for(z, model="taehv", time_upscale=False, space_upscale=False)
    assert (reduced.frames, reduced.pixels.height, reduced.pixels.width) == (5, 2, 3)
    assert plan_for(iter(z), model="taehv").frames is None
    with pytest.raises(InputError, match="at least 2, found 1: taeh3"):
        plan_for(torch.zeros(1, 24, 2, 3), model="taeh3")
