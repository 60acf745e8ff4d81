"""What a stream refuses, in one line that says what was expected and found; it stays whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import taesd_stream as ts

Models = Callable[..., ts.AutoEncoder]


@pytest.fixture(scope="session")
def model(narrow: Models) -> Models:
    """Narrow ones: nothing here depends on how wide layers are."""
    return narrow


def latents_for(ae: ts.AutoEncoder, count: int) -> Tensor:
    shape = (count, ae.spec.latent_channels, 2, 3)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def check_refused(error: pytest.ExceptionInfo[ts.InputError]) -> None:
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "length", "given", "said"),
    [
        ("taehv", 2, 3, "latent 2: expected no more after 2 latents"),
        ("taesd", 2, 3, "latent 2: expected no more after 2 latents"),
        ("taecvx", 4, 3, "latents: expected 4, as was said before, found 3"),
        ("taesd", 4, 3, "latents: expected 4, as was said before, found 3"),
        ("taeh3", None, 1, "expected at least 2, found 1: taeh3 makes its first 5 frames of 2"),
        ("taeh3", 7, 2, "latents: expected 7, as was said before, found 2"),
    ],
)
def test_latents_are_as_many_as_was_said_and_enough(
    name: str, length: int | None, given: int, said: str, model: Models
) -> None:
    ae = model(name)
    opened = ae.open_stream(length=length)

    def push_all() -> None:
        for latent in latents_for(ae, given):
            opened.push(latent)
        opened.flush()

    with pytest.raises(ts.InputError, match=said) as caught:
        push_all()
    check_refused(caught)


@pytest.mark.parametrize("latents", [iter, list, torch.stack], ids=["iterator", "list", "tensor"])
def test_too_few_latents_for_taeh3_are_refused(
    latents: Callable[[list[Tensor]], list[Tensor]], model: Models
) -> None:
    ae = model("taeh3")
    with pytest.raises(ts.InputError, match="expected at least 2, found 1"):
        list(ae.stream(latents(list(latents_for(ae, 1)))))
    with pytest.raises(ts.InputError, match="expected at least 2, found 1"):
        ae.decode(latents_for(ae, 1))


@pytest.mark.parametrize("name", ["taehv", "taesd", "taecvx"])
def test_nothing_comes_after_a_flush(name: str, model: Models) -> None:
    ae = model(name)
    opened = ae.open_stream()
    opened.push(latents_for(ae, 1)[0])
    opened.flush()
    assert opened.flush() == []
    with pytest.raises(ts.InputError, match="latent 1: expected no more after the stream was fl"):
        opened.push(latents_for(ae, 1)[0])
    empty = ae.open_stream()
    assert empty.flush() == []
    with pytest.raises(ts.InputError, match="latent 0: expected no more after the stream was fl"):
        empty.push(latents_for(ae, 1)[0])


@pytest.mark.parametrize("name", ["taesd", "taesdv", "taehv", "taecvx", "taeh3", "taem1"])
def test_a_latent_that_does_not_fit_is_refused_by_its_number_and_leaves_the_stream_whole(
    name: str, model: Models
) -> None:
    ae = model(name)
    latents = latents_for(ae, 7)
    opened = ae.open_stream()
    frames = [frame for latent in latents[:3] for frame in opened.push(latent)]
    broken = latents[3].clone()
    broken[1, 0, 2] = float("nan")
    with pytest.raises(ts.NonFiniteError, match="latent 3") as caught:
        opened.push(broken)
    assert caught.value.frame == 3
    for wrong in (latents[3, :, :1], latents[3, :-1], latents[3:4], latents[3].int()):
        with pytest.raises(ts.InputError, match="latent 3") as refused:
            opened.push(wrong)
        check_refused(refused)
    frames += [frame for latent in latents[3:] for frame in opened.push(latent)]
    frames += opened.flush()
    assert np.array_equal(frames, list(ae.stream(latents)))


def test_frames_to_encode_are_of_one_size_and_come_before_the_flush(model: Models) -> None:
    opened = model("taehv").open_encode_stream()
    opened.push(np.zeros((16, 24, 3), np.uint8))
    with pytest.raises(ts.InputError, match="frame 1 is 16x16, but the stream began with 24x16"):
        opened.push(np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(ts.InputError, match=r"frame 1: expected \(H, W, 3\) .*found \(16, 24\)"):
        opened.push(np.zeros((16, 24), np.uint8))
    assert len(opened.flush()) == 1
    with pytest.raises(ts.InputError, match="expected none after the stream was flushed"):
        opened.push(np.zeros((16, 24, 3), np.uint8))
    assert opened.flush() == []


def test_a_stream_lets_go_of_what_it_holds_at_the_end_of_a_block(model: Models) -> None:
    ae = model("taehv")
    latents = torch.zeros(2, 16, 2, 3)
    with ae.open_stream() as live:
        frames = live.push(latents[0])
    assert len(frames) == 1
    with pytest.raises(ts.InputError, match="flushed"):
        live.push(latents[1])
    with ae.open_encode_stream() as encoding:
        encoding.push(frames[0])
    assert encoding.flush() == []
    with pytest.raises(ts.InputError, match="after the stream was flushed"):
        encoding.push(frames[0])
