"""A stream whose step was cut short does not go on as if nothing had been; lengths are checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from tests.convolution import before_convolutions

Models = Callable[..., ts.AutoEncoder]


def cut_short_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the work at one of the next convolutions, as Ctrl-C would."""
    left = [calls]

    def interrupted(tensor: Tensor) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    before_convolutions(monkeypatch, interrupted)


def test_a_decode_that_was_cut_short_does_not_go_on(
    model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    opened = model("taesdv").open_stream(tile=2)
    opened.push(latents[0])
    saved = opened.save()
    with monkeypatch.context() as patched:
        cut_short_after(50, patched)
        with pytest.raises(KeyboardInterrupt):
            opened.push(latents[1])
    for attempt in (opened.save, lambda: opened.push(latents[2])):
        with pytest.raises(ts.InputError, match="cut them short"):
            attempt()
    resumed = model("taesdv").open_stream(state=saved)
    frames = [frame for latent in latents[1:] for frame in resumed.push(latent)]
    expected = list(model("taesdv").stream(latents))[1:]
    assert np.abs(np.stack(frames).astype(int) - np.stack(expected)).max() <= 1


def test_an_encode_that_was_cut_short_does_not_go_on(
    model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = np.zeros((16, 16, 3), np.uint8)
    opened = model("taehv").open_encode_stream()
    opened.push(frame)
    with monkeypatch.context() as patched:
        cut_short_after(3, patched)
        with pytest.raises(KeyboardInterrupt):
            opened.push(frame)
    for attempt in (opened.save, lambda: opened.push(frame)):
        with pytest.raises(ts.InputError, match="cut them short"):
            attempt()


@pytest.mark.parametrize("length", [0, -1, True, 2.0])
def test_a_length_is_a_number_of_latents(model: Models, length: object) -> None:
    with pytest.raises(ts.InputError, match="length: expected at least 1 latents"):
        model("taesdv").open_stream(length=length)


def test_the_length_of_a_saved_stream_stays(model: Models) -> None:
    ae = model("taesdv")
    opened = ae.open_stream(length=3)
    opened.push(torch.zeros(4, 2, 2))
    state = opened.save()
    with pytest.raises(ts.InputError, match="length: expected 3, as was said"):
        ae.open_stream(length=4, state=state)
    assert len(ae.open_stream(length=3, state=state).push(torch.zeros(4, 2, 2))) == 1


def test_a_state_without_a_layers_memory_is_refused(model: Models) -> None:
    ae = model("taesdv")
    opened = ae.open_stream()
    opened.push(torch.zeros(4, 2, 2))
    state = opened.save()
    assert isinstance(state.states, dict)
    del state.states["3"]
    with pytest.raises(ts.InputError, match="states of other names or shapes"):
        ae.open_stream(state=state)


def test_a_state_that_cannot_be_written_is_an_output_error(model: Models, tmp_path: Path) -> None:
    opened = model("taesdv").open_stream()
    opened.push(torch.zeros(4, 2, 2))
    with pytest.raises(ts.OutputError, match="cannot write"):
        opened.save().save(tmp_path / "missing" / "state.safetensors")


def test_a_model_by_name_has_no_other_variant() -> None:
    with pytest.raises(ts.InputError, match="variant: expected none, or taehv"):
        ts.load("taehv", variant="taew2_1", device="cpu")
