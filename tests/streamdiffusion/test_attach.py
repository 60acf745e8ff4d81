"""The engine in the place of StreamDiffusion's VAE."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import taesd_stream as ts
from taesd_stream.streamdiffusion import attach
from tests.engine.conftest import model_named
from tests.streamdiffusion.stand_in import PlainVAE, StreamDiffusion
from video import VideoReader


class Keeping:
    """A sink that keeps frames, or fails at one of them."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.frames: list[Tensor] = []
        self.calls = self.closed = 0
        self._fails_at = fails_at

    def write(self, frame: Tensor) -> None:
        self.calls += 1
        if self.calls == self._fails_at:
            raise OSError("disk is full")
        self.frames.append(frame)

    def close(self) -> None:
        self.closed += 1


def close_to(made: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "frames"), [("taesd", 1), ("taesdv", 1), ("taesdv", 3)])
def test_frames_of_a_stream_are_those_of_one_video(name: str, frames: int) -> None:
    ae, stream, sink = model_named(name), StreamDiffusion(frames), Keeping()
    expected = ae.decode(stream.latents[None], tile=None)[0]
    with attach(stream, ae, sinks=[sink], tile=2):
        made = torch.cat([stream() for _ in range(9 // frames)])
    close_to(made / 2 + 0.5, expected)
    close_to(torch.stack(sink.frames), expected)


def test_a_reset_and_another_size_begin_a_video() -> None:
    ae, stream = model_named("taesdv"), StreamDiffusion(3)
    expected = ae.decode(stream.latents.view(3, 3, 4, 2, 3), tile=None)[:2].flatten(0, 1)
    with attach(stream, ae) as attached:
        first = stream()
        attached.reset()
        close_to(torch.cat([first, stream()]) / 2 + 0.5, expected)
        stream.decode_image(torch.zeros(1, 4, 3, 2))
        stream.done = 0
        close_to(stream() / 2 + 0.5, expected[:3])


def test_an_interrupted_decode_does_not_end_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    ae, stream = model_named("taesdv"), StreamDiffusion(3)
    with attach(stream, ae):
        stream()
        with monkeypatch.context() as patch:
            patch.setattr("taesd_stream.engine.streams.clip.computed", interrupted)
            with pytest.raises(KeyboardInterrupt):
                stream()
        stream.done = 0
        close_to(stream() / 2 + 0.5, ae.decode(stream.latents[None, :3], tile=None)[0])


def test_pictures_are_encoded_by_the_model_or_else_by_the_vae_that_was_there() -> None:
    image = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    stream = StreamDiffusion()
    with torch.no_grad():
        before = stream.encode_image(image)
        with attach(stream, "latent2rgb"):
            close_to(stream.encode_image(image), before)
        ae = model_named("taesd")
        with attach(stream, ae):
            close_to(stream.encode_image(image), ae.encode(image / 2 + 0.5))
        drawn = SimpleNamespace(sample=lambda generator: before / 0.18215, mode=None)
        stream.vae.encode = lambda x: SimpleNamespace(latent_dist=drawn)
        with attach(stream, "latent2rgb"):
            close_to(stream.encode_image(image), before)


class Recording(TorchDispatchMode):
    """The operators that are called, without views, which compute nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view:
            self.called.append(func.name())
        return func(*args, **(kwargs or {}))


def test_a_tap_computes_nothing_and_waits_for_nothing() -> None:
    called = []
    for sinks in ([], [Keeping()]):
        stream = StreamDiffusion(3)
        with attach(stream, model_named("taesdv"), sinks=sinks, tile=None):
            stream()
            with Recording() as recording:
                stream()
        called.append(recording.called)
    assert called[0] == called[1]
    assert "aten::_local_scalar_dense" not in called[0]
    assert called[0], "something was recorded"


def test_a_sink_that_fails_is_told_of_once_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream, bad, good = StreamDiffusion(3), Keeping(fails_at=2), Keeping()
    with attach(stream, model_named("taesd"), sinks=[bad, good]):
        for _ in range(3):
            stream()
    assert (bad.calls, len(good.frames)) == (2, 9)
    assert (bad.closed, good.closed) == (1, 1)
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "Keeping failed after 1 frames and gets no more: OSError: disk is full" in record.message


def test_files_and_functions_get_every_frame(tmp_path: Path) -> None:
    """No more than may wait: on a busy machine more of them would be left out."""
    stream, seen = StreamDiffusion(3), []
    expected = model_named("taesd").decode(stream.latents[:3], tile=None)
    with attach(stream, model_named("taesd"), sinks=[tmp_path / "a.mp4", seen.append], fps=8):
        stream()
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert (len(list(reader)), reader.rate) == (3, 8)
    made = torch.from_numpy(np.stack(seen)).movedim(-1, 1) / 255
    torch.testing.assert_close(made, expected, atol=1.5 / 255, rtol=0)


def test_the_vae_is_put_back_whatever_happens(caplog: pytest.LogCaptureFixture) -> None:
    stream = StreamDiffusion()
    previous = stream.vae
    with suppress(ZeroDivisionError), attach(stream, model_named("taesd")):
        assert stream.vae is not previous
        _ = 1 / 0
    assert stream.vae is previous
    sink = Keeping()
    attached = attach(stream, model_named("taesd"), sinks=[sink])
    with pytest.raises(ts.InputError, match="detach it first"):
        attach(stream, model_named("taesd"))
    stream.vae = previous
    attached.detach()
    attached.detach()
    assert stream.vae is previous
    assert sink.closed == 1
    assert "found PlainVAE in its place" in caplog.text


def test_what_is_no_such_pipeline_is_refused_with_what_fits() -> None:
    taesd = model_named("taesd")
    with pytest.raises(ts.InputError, match=r"found SimpleNamespace; give its \.stream"):
        attach(SimpleNamespace(stream=StreamDiffusion()), taesd)
    engine = StreamDiffusion()
    engine.vae = SimpleNamespace(decode=None)
    with pytest.raises(ts.InputError, match=r"found SimpleNamespace in .* taesd \(Stable"):
        attach(engine, taesd)
    stream = StreamDiffusion()
    with pytest.raises(ts.InputError, match="found object"):
        attach(stream, taesd, sinks=[object()])  # type: ignore[list-item]
    assert type(stream.vae) is PlainVAE


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("taesd3", r"expected one of 4 channels, .* found taesd3 .* fit: taesd \(Stable"),
        ("taesdxl", "for Stable Diffusion 1 and 2, found taesdxl, .* fit: taesd, taesdv"),
    ],
)
def test_models_for_other_latents_are_refused(name: str, told: str) -> None:
    stream = StreamDiffusion()
    previous = stream.vae
    with pytest.raises(ts.InputError, match=told):
        attach(stream, model_named(name))
    assert stream.vae is previous


def test_a_pipeline_of_xl_says_so_where_its_vae_is_tiny() -> None:
    stream: Any = StreamDiffusion()
    stream.vae.config["scaling_factor"] = 1.0
    with attach(stream, model_named("taesd")) as attached:
        with pytest.raises(ts.InputError, match=r"found 16 in \(1, 16, 2, 2\); .*: taesd3"):
            stream.decode_image(torch.zeros(1, 16, 2, 2))
        assert attached.ae is model_named("taesd")
    stream.is_sdxl = True
    with pytest.raises(ts.InputError, match="models that fit: taesdxl"):
        attach(stream, model_named("taesd"))
