"""Units that workers make of a part of the latents are the same as a run that makes everything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import taesd_stream as ts
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import ModelOptions, TileOptions
from taesd_stream.engine.streams.frame_windows import as_slice
from taesd_stream.engine.streams.video_run import VideoRun
from taesd_stream.errors import LatentsError
from taesd_stream.jobs.cluster.model_copy import ModelCopy
from taesd_stream.jobs.cluster.sharing import shared_latents
from taesd_stream.jobs.cluster.units import PictureUnits, VideoUnits
from taesd_stream.jobs.cluster.worker import SharedFolder, Worker
from taesd_stream.jobs.output import Output
from taesd_stream.latents.excerpt import Excerpt, ExcerptSource
from taesd_stream.latents.read_options import LatentOptions
from tests.engine.conftest import model_named, narrow_model_named, weights_of
from video import open_reader
from video.large.shards import RowShards
from video.transparency import OVER_WHITE

MODELS = ("nano", "taesdv", "taehv", "taecvx", "taew2_2", "taeh3")


def latents(ae: ts.AutoEncoder, count: int, height: int = 3, width: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, ae.spec.latent_channels, height, width, generator=generator)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_part_of_the_latents_makes_a_part_of_the_frames(name: str, data: st.DataObject) -> None:
    ae = narrow_model_named(name)
    count = data.draw(st.integers(ae.spec.timing.least, 9))
    source = ts.open_latents(latents(ae, count), layout="TCHW", channels=ae.spec.latent_channels)
    options = TileOptions(tile=(2, 4))
    whole = VideoRun(coder_of(ae, "decode"), source, options)
    frames = list(whole)
    first = data.draw(st.integers(0, len(frames) - 1))
    stop = data.draw(st.integers(first + 1, len(frames)))
    part = whole.part(first, stop)
    assert part is not None
    needed = part.latent_numbers
    assert 0 <= needed.start < needed.stop <= count
    there = ExcerptSource(Excerpt.of(source, needed))
    numbers = whole.numbers[first:stop]
    made = list(VideoRun(coder_of(ae, "decode"), there, options, frames=as_slice(numbers)))
    assert len(made) == stop - first
    assert all(np.array_equal(a, b) for a, b in zip(made, frames[first:stop], strict=True))


def test_an_excerpt_has_nothing_else() -> None:
    ae = narrow_model_named("nano")
    source = ts.open_latents(latents(ae, 9).to(torch.bfloat16), layout="TCHW")
    excerpt = ExcerptSource(Excerpt.of(source, range(3, 6)))
    assert (len(excerpt), excerpt.dtype, excerpt.height) == (9, torch.bfloat16, 3)
    assert torch.equal(excerpt[4], source[4])
    region = slice(1, 3), slice(0, 2)
    assert torch.equal(excerpt.region(5, *region), source.region(5, *region))
    for number in (2, 6):
        with pytest.raises(LatentsError, match="expected some of those from 3 to 6"):
            excerpt[number]


def test_reversed_frames_in_parts() -> None:
    ae = narrow_model_named("nano")
    run = VideoRun(
        coder_of(ae, "decode"), latents(ae, 7), TileOptions(), frames=slice(None, None, -1)
    )
    last = run.part(4)
    assert last is not None
    assert list(last.numbers) == [2, 1, 0]


@pytest.fixture
def copy() -> Any:
    """The copy of a model, as it is sent."""

    def made(ae: ts.AutoEncoder) -> ModelCopy:
        return ModelCopy.of(ae, "decode", ae.settings, ae, ModelOptions())

    return made


@pytest.mark.parametrize("name", ["nano", "latent2rgb", "taehv", "taef2", "taesana", "taeh3"])
def test_copies_of_models(name: str, copy: Any) -> None:
    ae = model_named(name)
    z = latents(ae, max(2, ae.spec.timing.least), 3, 3)[None]
    again = copy(ae).load()
    assert again.spec.label == ae.spec.label
    assert again.settings == ae.settings
    assert torch.equal(again.decode(z), ae.decode(z))


def test_copies_of_what_was_read(tmp_path: Path) -> None:
    """A name, and a file with options."""
    ae = ts.load("nano", device="cpu", dtype="bfloat16", backend="torch")
    z = latents(ae, 1)
    copied = ModelCopy.of(ae, "decode", ae.settings, "nano", ModelOptions(dtype="bfloat16"))
    assert torch.equal(copied.load().decode(z), ae.decode(z))


def test_copies_keep_the_options_of_a_loaded_model(copy: Any) -> None:
    weights = weights_of("taesdv")
    ae = ts.load(weights, variant="taesdv", device="cpu", backend="torch", convention="vae")
    z = latents(ae, 3)[None]
    assert torch.equal(copy(ae).load().decode(z), ae.decode(z))
    assert not torch.equal(ae.decode(z), ae.decode(z, convention="model"))
    other = replace(copy(model_named("nano")), same="another")
    with pytest.raises(ts.InputError, match="expected another, found nano"):
        other.load()


def test_black_parts_are_read(tmp_path: Path) -> None:
    RowShards.create(tmp_path / "a.zarr", parts=2, rows=3, width=4, channels=3)
    shards = RowShards.open(tmp_path / "a.zarr")
    shards.write(0, np.zeros((3, 4, 3), np.uint8))
    shards.write(1, np.ones((2, 4, 3), np.uint8))
    assert [shards.holds(part) for part in range(2)] == [False, True]
    assert (shards.read(0, 0, 3).max(), shards.read(1, 0, 2).min()) == (0, 1)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, copy: Any) -> None:
    (tmp_path / "worker-0").write_text("where a folder should be")
    (tmp_path / "token").touch()
    job: Any = None
    shared = SharedFolder(str(tmp_path), "token")
    seen = Worker("worker-0").prepare(copy(model_named("nano")), job, None, shared)
    assert seen == (False, False)


def prepared(
    ae: ts.AutoEncoder, job: Any, copy: Any, folder: Path, *, sees: bool, **stored: Any
) -> Worker:
    worker = Worker("worker-0")
    (folder / "token").touch()
    shared = SharedFolder(str(folder), "token" if sees else "another")
    seen = worker.prepare(copy(ae), job, stored.get("latents"), shared)
    assert seen.folder == sees
    assert seen.source == ("latents" in stored)
    return worker


@pytest.mark.parametrize("sees", [True, False])
def test_segments(tmp_path: Path, copy: Any, sees: bool) -> None:
    """A worker that sees the folder and the latents, and one on a machine of its own."""
    ae = model_named("taesdv")
    z = latents(ae, 21)
    torch.save(z, tmp_path / "z.pt")
    source = ts.open_latents(tmp_path / "z.pt")
    options = TileOptions(tile=(3, 4), threads=1)
    whole = VideoRun(coder_of(ae, "decode"), source, options)
    output = Output("a.mkv", lossless=True, codec="h264", overwrite=True)
    job = VideoUnits(whole.numbers, 8, options, output, whole.plan.pixels, 4)
    stored = shared_latents(tmp_path / "z.pt", LatentOptions(), source).stored
    worker = prepared(ae, job, copy, tmp_path, sees=sees, **({"latents": stored} if sees else {}))
    assert job.count == 3
    made = []
    for unit in range(job.count):
        part = whole.part(8 * unit, 8 * unit + 8)
        assert part is not None
        excerpt = None if sees else Excerpt.of(source, part.latent_numbers)
        content = worker.make(unit, excerpt)
        assert worker.part() == 1
        assert (content is None) == sees
        job.take(unit, content, tmp_path, "worker-0")
        with open_reader(tmp_path / job.file_of(unit)) as reader:
            made += [frame.image for frame in reader]
    assert len(made) == 21
    assert all(np.array_equal(one, other) for one, other in zip(made, whole, strict=True))


@pytest.mark.parametrize("name", ["nano", "taef2"])
@pytest.mark.parametrize("sees", [True, False])
def test_rows_of_a_picture(tmp_path: Path, copy: Any, name: str, sees: bool) -> None:
    ae = model_named(name)
    source = ts.open_latents(latents(ae, 2, 13, 5), layout="TCHW")
    options = TileOptions(tile=(2, 5), threads=1)
    run = ae.open_picture(source, 1, tile=(2, 5), threads=1)
    heights = tuple(band.size for band in run.bands)
    job = PictureUnits(1, 3, heights, options, OVER_WHITE, 3)
    width = run.made.width
    RowShards.create(
        tmp_path / job.FILE, parts=job.count, rows=job.height_of(0), width=width, channels=3
    )
    worker = prepared(ae, job, copy, tmp_path, sees=sees)
    for unit in reversed(range(job.count)):
        job.take(unit, worker.make(unit, Excerpt.of(source, range(1, 2))), tmp_path, "worker-0")
    shards = RowShards.open(tmp_path / job.FILE)
    rows = np.concatenate([shards.read(unit, 0, job.height_of(unit)) for unit in range(job.count)])
    whole = (ae.decode(source[1][None], tile=(2, 5))[0] * 255).round().byte()
    assert np.array_equal(rows, whole.permute(1, 2, 0).numpy())


def test_other_latents_are_not_taken_for_the_same(tmp_path: Path) -> None:
    path = tmp_path / "z.pt"
    torch.save(torch.ones(3, 4, 2, 2), path)
    with ts.open_latents(path) as source:
        stored = shared_latents(path, LatentOptions(), source).stored
    assert stored is not None
    with stored.opened() as seen:
        assert seen.frames == 3
    for number in range(3):
        other = torch.ones(3, 4, 2, 2)
        other[number] = 0
        torch.save(other, path)
        assert stored.opened() is None
    path.unlink()
    assert stored.opened() is None
