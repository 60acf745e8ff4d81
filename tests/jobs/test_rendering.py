from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import taesd_stream as ts
from taesd_stream.models import variant_named
from video import ImageSequenceReader


@pytest.fixture
def clip() -> torch.Tensor:
    """Seven latents, (7, 4, 3, 5): 40x24 pixels."""
    return torch.linspace(-1, 1, 7 * 4 * 3 * 5).view(7, 4, 3, 5)


@pytest.fixture(scope="module")
def model() -> ts.AutoEncoder:
    return ts.load("latent2rgb", device="cpu")


def test_the_name_stays_the_functions() -> None:
    """A module of a function's name would take its place in the package once it is imported."""
    program = """
import taesd_stream as ts
import taesd_stream.cli.main, taesd_stream.jobs.decoding, taesd_stream.jobs.encoding
for _ in range(2):
    for name in ts.__all__:
        assert getattr(ts, name).__name__ == name, name
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_latents_come_in_every_form(
    clip: torch.Tensor, model: ts.AutoEncoder, tmp_path: Path
) -> None:
    torch.save(clip, tmp_path / "z.pt")
    forms = {
        "path": tmp_path / "z.pt",
        "text": str(tmp_path / "z.pt"),
        "tensor": clip,
        "array": clip.numpy(),
        "list": list(clip),
        "source": ts.open_latents(clip),
        "mapping": {"samples": clip},
        "generator": (latent for latent in clip),
    }
    expected = np.stack(list(model.stream(clip)))
    for name, latents in forms.items():
        done = ts.render(latents, tmp_path / f"{name}.npy", model=model)
        assert np.array_equal(np.load(done.path), expected), name
        assert done.frames == 7
        assert done.plan.frames == (None if name == "generator" else 7)


def test_models_come_in_every_form(clip: torch.Tensor, tmp_path: Path) -> None:
    shapes = ts.load("latent2rgb"), "latent2rgb", "LATENT2RGB"
    results = [ts.render(clip, tmp_path / f"{n}.npy", model=m) for n, m in enumerate(shapes)]
    pictures = [np.load(done.path) for done in results]
    assert all(np.array_equal(each, pictures[0]) for each in pictures)


def test_a_generator_is_read_no_further_than_needed(clip: torch.Tensor, tmp_path: Path) -> None:
    read = []

    def latents() -> Iterator[torch.Tensor]:
        for number, latent in enumerate(clip):
            read.append(number)
            yield latent

    done = ts.render(latents(), tmp_path / "a.npy", model="latent2rgb", frames=slice(1, 4))
    assert done.frames == 3
    assert max(read) == 3


def test_a_bad_latent_of_a_generator_has_its_own_number(clip: torch.Tensor, tmp_path: Path) -> None:
    clip[5, 0, 0, 0] = float("inf")
    with pytest.raises(ts.NonFiniteError, match="latent 5") as caught:
        ts.render(iter(clip), tmp_path / "a.npy", model="latent2rgb", frames=slice(2, None))
    assert caught.value.frame == 5


def test_the_callers_source_stays_open(clip: torch.Tensor, tmp_path: Path) -> None:
    with ts.open_latents(clip) as source:
        ts.render(source, tmp_path / "a.npy", model="latent2rgb")
        assert torch.equal(source[0], clip[0])


def test_what_was_done(clip: torch.Tensor, tmp_path: Path) -> None:
    done = ts.render(clip, tmp_path / "a.mp4", model="latent2rgb", fps=Fraction(25, 2))
    assert (done.path, done.frames) == (tmp_path / "a.mp4", 7)
    assert (done.width, done.height, done.rate) == (40, 24, Fraction(25, 2))
    assert done.seconds > 0
    assert done.notes == ()
    assert str(done).startswith(f"{tmp_path}/a.mp4: 7 frames at 25/2 fps, 40x24, ")
    assert done.to_json()["rate"] == "25/2"
    assert " fps" not in str(ts.render(clip, tmp_path / "a.npy", model="latent2rgb"))


@pytest.mark.parametrize("fps", [24, "23.976", "24000/1001", 30])
def test_81_latents_are_81_frames_at_the_rate_that_was_asked(
    shared: Path, tmp_path: Path, fps: str | int
) -> None:
    with ts.open_latents(shared / "latents/sd_frames.pt") as source:
        corner = source[:][:, :, :12, :16]
    done = ts.render(corner, tmp_path / "a.mp4", model="latent2rgb", fps=fps)
    rate = Fraction(24000, 1001) if "." in str(fps) else Fraction(fps)
    assert (done.frames, done.rate) == (81, rate)
    with av.open(str(done.path)) as container:
        stream = container.streams.video[0]
        assert (stream.frames, stream.average_rate) == (81, rate)
        seconds = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert seconds == [index / rate for index in range(81)]


def test_a_real_clip_from_end_to_end(shared: Path, tmp_path: Path) -> None:
    clip, every = shared / "latents/sd_frames.pt", slice(None, None, 8)
    done = ts.render(clip, tmp_path / "a.mp4", model="latent2rgb", frames=every)
    with av.open(str(done.path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (832, 480)
        assert sum(packet.pts is not None for packet in container.demux(stream)) == 11


def _interrupted_after(latents: torch.Tensor, count: int) -> Iterator[torch.Tensor]:
    yield from latents[:count]
    raise KeyboardInterrupt


@pytest.mark.parametrize("out", ["a.mp4", "a.mkv", "a.gif", "a.webp", "a.npy", "a.safetensors"])
def test_an_interrupt_leaves_what_is_finished(clip: torch.Tensor, tmp_path: Path, out: str) -> None:
    with pytest.raises(ts.Interrupted, match=r"the first 3 frames are in .*a\.part\.") as caught:
        ts.render(_interrupted_after(clip, 3), tmp_path / out, model="latent2rgb")
    (part,) = tmp_path.iterdir()
    assert part.name == out.replace(".", ".part.")
    assert str(part) in str(caught.value)
    if part.suffix == ".npy":
        assert np.load(part).shape == (3, 24, 40, 3)
    elif part.suffix in (".mp4", ".mkv", ".gif"):
        with av.open(str(part)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 3


def test_an_interrupt_keeps_finished_pictures(clip: torch.Tensor, tmp_path: Path) -> None:
    kept = f"3 finished pictures are kept, {tmp_path}/p/00000.png to {tmp_path}/p/00002.png"
    with pytest.raises(ts.Interrupted, match=kept):
        ts.render(_interrupted_after(clip, 3), tmp_path / "p", model="latent2rgb")
    assert ImageSequenceReader(tmp_path / "p").frame_count == 3


@pytest.mark.parametrize("out", ["a.mp4", "a.npy", "a.png", "p", "%d.png"])
def test_an_interrupt_before_the_first_frame_leaves_nothing(
    clip: torch.Tensor, model: ts.AutoEncoder, tmp_path: Path, out: str
) -> None:
    def interrupt(plan: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(ts.Interrupted, match="nothing is left behind"):
        ts.render(clip[:1], tmp_path / out, model=model, on_plan=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["a.mp4", "a.npy"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_an_interrupt_when_all_is_done_says_so(
    clip: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, overwrite: bool
) -> None:
    """Ctrl-C while a video is finished is held back, and comes when it has its name."""
    from video.safe_files.part_file import PartFile

    publish = PartFile.publish

    def publish_and_interrupt(part: PartFile, *, overwrite: bool) -> None:
        publish(part, overwrite=overwrite)
        raise KeyboardInterrupt

    if overwrite:
        (tmp_path / out).write_text("old")
    monkeypatch.setattr(PartFile, "publish", publish_and_interrupt)
    with pytest.raises(ts.Interrupted, match=f"{out} is complete: 7 frames"):
        ts.render(clip, tmp_path / out, model="latent2rgb", overwrite=overwrite)


@pytest.mark.parametrize("out", ["a.mp4", "a.npy", "a.png"])
def test_a_failure_leaves_nothing(clip: torch.Tensor, tmp_path: Path, out: str) -> None:
    def fails() -> Iterator[torch.Tensor]:
        yield clip[0]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ts.render(fails(), tmp_path / out, model="latent2rgb")
    assert list(tmp_path.iterdir()) == []


def test_a_still_out_of_a_generator_of_several(clip: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(ts.InputError, match=r"a_%05d\.png"):
        ts.render(iter(clip), tmp_path / "a.png", model="latent2rgb")
    assert list(tmp_path.iterdir()) == []
    ts.render(iter(clip), tmp_path / "a.png", model="latent2rgb", frames=slice(2, 3))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_generator_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ts.InputError, match="none"):
        ts.render(iter(()), tmp_path / "a.mp4", model="latent2rgb")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def video_model() -> ts.AutoEncoder:
    """A decoder with TAEHV's shapes, whose weights mean nothing."""
    torch.manual_seed(0)
    shapes = variant_named("taecvx").decoder().shapes()
    state = {f"decoder.{name}": torch.randn(shape) / 30 for name, shape in shapes.items()}
    return ts.load(state, variant="taecvx", device="cpu")


@pytest.fixture
def video() -> torch.Tensor:
    """Five latents, (5, 16, 2, 3): 17 frames of 24x16 pixels."""
    return torch.randn(5, 16, 2, 3, generator=torch.Generator().manual_seed(0))


def test_latents_of_a_video_come_in_every_form(
    video: torch.Tensor, video_model: ts.AutoEncoder, tmp_path: Path
) -> None:
    torch.save(video, tmp_path / "z.pt")
    forms = {
        "path": tmp_path / "z.pt",
        "tensor": video,
        "five axes": video[None].transpose(1, 2),
        "list": list(video),
        "generator": (latent for latent in video),
    }
    expected = np.stack(list(video_model.stream(video)))
    assert expected.shape == (17, 16, 24, 3)
    for name, latents in forms.items():
        done = ts.render(latents, tmp_path / f"{name}.npy", model=video_model)
        assert np.array_equal(np.load(done.path), expected), name
        assert done.frames == 17
        assert done.plan.frames == (None if name == "generator" else 17)


@pytest.mark.parametrize("frames", [slice(9, 12), slice(16, None), slice(1, None, 4)], ids=str)
def test_frames_are_those_of_the_video_and_the_plan_counts_them(
    video: torch.Tensor, video_model: ts.AutoEncoder, tmp_path: Path, frames: slice
) -> None:
    expected = list(video_model.stream(video))[frames]
    plans = []
    done = ts.render(
        video, tmp_path / "a.npy", model=video_model, frames=frames, tile=1, on_plan=plans.append
    )
    assert np.abs(np.load(done.path).astype(int) - expected).max() <= 1
    assert plans == [done.plan]
    assert done.plan.frames == done.frames == len(expected)
    assert "remembering" in str(done.plan)


def test_a_video_under_half_its_memory_is_the_same(
    video_model: ts.AutoEncoder, tmp_path: Path
) -> None:
    video = torch.randn(3, 16, 8, 9, generator=torch.Generator().manual_seed(0))
    whole = ts.render(video, tmp_path / "a.npy", model=video_model)
    budget = whole.plan.peak_bytes // 2
    half = ts.render(video, tmp_path / "b.npy", model=video_model, memory=budget)
    assert half.plan.peak_bytes <= budget
    assert np.abs(np.load(half.path).astype(int) - np.load(whole.path)).max() <= 1


def test_an_interrupt_leaves_the_frames_that_were_known(
    video: torch.Tensor, tmp_path: Path
) -> None:
    shapes = variant_named("taehv").decoder().shapes()
    state = {f"decoder.{name}": torch.zeros(shape) for name, shape in shapes.items()}
    model = ts.load(state, variant="taehv", device="cpu")
    latents = _interrupted_after(video, 3)
    with pytest.raises(ts.Interrupted, match="the first 9 frames are in") as caught:
        ts.render(latents, tmp_path / "a.npy", model=model)
    assert "a.part.npy" in str(caught.value)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_video_keeps_what_is_said_of_it(
    clip: torch.Tensor, model: ts.AutoEncoder, tmp_path: Path, suffix: str, resume: bool
) -> None:
    said = {"prompt": '{"a": "castle, \u00fc = ; #"}', "seed": "7"}
    done = ts.render(clip, tmp_path / f"a{suffix}", model=model, metadata=said, resume=resume)
    with av.open(done.path) as file:
        kept = {name.lower(): text for name, text in file.metadata.items()}
    assert said.items() <= kept.items()
    with pytest.raises(ts.InputError, match=r"metadata: expected none for \.png.* write \.mp4"):
        ts.render(clip, tmp_path / "a.png", model=model, metadata=said)
