"""Frames on their way to a writer: the same file whatever the way, and failures that end it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import taesd_stream as ts
from taesd_stream.jobs.delivery import device_to_sink as delivery
from video import ImageSequenceWriter, InputError, VideoReader, VideoWriter, open_writer


@pytest.fixture
def clip() -> torch.Tensor:
    """Nine latents, (9, 4, 3, 5): 40x24 pixels."""
    return torch.linspace(-1, 1, 9 * 4 * 3 * 5).view(9, 4, 3, 5)


@pytest.fixture(scope="module")
def model() -> ts.AutoEncoder:
    return ts.load("latent2rgb", device="cpu")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert "taesd-stream" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("name", ["a.mkv", "a.gif", "a.webp", "p"])
def test_a_file_is_what_writing_one_frame_after_the_other_makes(
    clip: torch.Tensor, model: ts.AutoEncoder, tmp_path: Path, name: str
) -> None:
    (tmp_path / "alone").mkdir()
    with open_writer(tmp_path / "alone" / name, width=40, height=24) as writer:
        for frame in model.stream(clip):
            writer.write(frame)
    ts.render(clip, tmp_path / name, model=model)
    one, other = tmp_path / name, tmp_path / "alone" / name
    if name == "p":
        pictures = sorted(path.name for path in other.iterdir())
        assert sorted(path.name for path in one.iterdir()) == pictures
        assert all((one / p).read_bytes() == (other / p).read_bytes() for p in pictures)
        return
    made, expected = (list(VideoReader(path)) for path in (one, other))
    assert len(made) == len(expected) == 9
    for left, right in zip(made, expected, strict=True):
        assert left.pts_seconds == right.pts_seconds
        assert np.array_equal(left.image, right.image)


@pytest.mark.parametrize(("name", "options"), [("a.mp4", {}), ("a.webm", {"crf": 4})])
def test_frames_converted_on_the_device_look_the_same(
    *,
    clip: torch.Tensor,
    model: ts.AutoEncoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    options: dict[str, int],
) -> None:
    ts.render(clip, tmp_path / f"rgb_{name}", model=model, **options)
    monkeypatch.setattr(delivery, "is_converted_there", lambda device: True)
    monkeypatch.setattr(VideoWriter, "write", None)
    ts.render(clip, tmp_path / f"yuv_{name}", model=model, **options)
    rgb, yuv = (list(VideoReader(tmp_path / f"{kind}_{name}")) for kind in ("rgb", "yuv"))
    for left, right in zip(rgb, yuv, strict=True):
        error = left.image.astype(float) - right.image
        assert abs(error.mean()) < 0.5
        assert np.abs(error).max() <= 8


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.gif", {}), ("a.webp", {}), ("a.mkv", {"lossless": True}), ("a.npy", {}), ("p", {})],
)
def test_what_keeps_rgb_gets_rgb(
    *,
    clip: torch.Tensor,
    model: ts.AutoEncoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    options: dict[str, bool],
) -> None:
    monkeypatch.setattr(delivery, "is_converted_there", lambda device: True)
    monkeypatch.setattr(VideoWriter, "write_yuv", None)
    assert ts.render(clip, tmp_path / name, model=model, **options).frames == 9


def test_a_writer_that_fails_stops_a_decode_in_the_middle_of_a_picture(
    model: ts.AutoEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    def fail(writer: VideoWriter, frame: np.ndarray) -> None:
        failed.set()
        raise InputError("this frame is refused")

    monkeypatch.setattr(VideoWriter, "write", fail)
    read = []

    def latents() -> Iterator[torch.Tensor]:
        for number in range(9):
            read.append(number)
            if number == 1:
                assert failed.wait(20)
            yield torch.zeros(4, 3, 5)

    with pytest.raises(ts.InputError, match="this frame is refused"):
        ts.render(latents(), tmp_path / "a.mp4", model=model, tile=1)
    assert max(read) <= 2
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_keeps_every_frame_that_was_decoded(
    clip: torch.Tensor, model: ts.AutoEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait for a slow writer, too."""
    interrupted = threading.Event()
    write = ImageSequenceWriter.write

    def slowly(writer: ImageSequenceWriter, frame: np.ndarray) -> None:
        assert interrupted.wait(20)
        write(writer, frame)

    def latents() -> Iterator[torch.Tensor]:
        yield from clip[:3]
        interrupted.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(ImageSequenceWriter, "write", slowly)
    with pytest.raises(ts.Interrupted, match="3 finished pictures are kept"):
        ts.render(latents(), tmp_path / "p", model=model)
    assert len(list((tmp_path / "p").iterdir())) == 3


def test_the_callers_latents_are_made_in_the_callers_thread(
    clip: torch.Tensor, model: ts.AutoEncoder, tmp_path: Path
) -> None:
    """Grad mode, devices and streams belong to a thread."""
    threads = set()

    def latents() -> Iterator[torch.Tensor]:
        for latent in clip:
            threads.add(threading.current_thread())
            yield latent

    ts.render(latents(), tmp_path / "a.npy", model=model)
    assert threads == {threading.current_thread()}


def test_latents_of_a_file_are_read_ahead_and_no_farther_than_said(
    clip: torch.Tensor, model: ts.AutoEncoder
) -> None:
    with ts.open_latents(clip) as source:
        expected = list(model.stream(clip))
        for ahead in (1, 2, 64):
            made = list(model.stream(source, ahead=ahead))
            assert all(np.array_equal(a, b) for a, b in zip(made, expected, strict=True))
        stream = model.stream(source, ahead=64)
        next(stream)
        del stream


def test_a_latent_that_cannot_be_read_ahead_says_so(model: ts.AutoEncoder, tmp_path: Path) -> None:
    path = tmp_path / "z.npy"
    np.save(path, np.zeros((9, 4, 3, 5), np.float32))
    with ts.open_latents(path) as source:
        source.height  # noqa: B018 (reads the header)
        path.write_bytes(b"other")
        with pytest.raises(ts.LatentsError, match="changed while it was being read"):
            list(model.stream(source, ahead=64))
