"""Latents that workers make in units are those of one process that makes everything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import taesd_stream as ts
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import ModelOptions, TileOptions
from taesd_stream.engine.streams.encode_stream import EncodeStream
from taesd_stream.jobs.cluster.latent_units import LatentUnits, RowUnits, latents_in
from taesd_stream.jobs.cluster.model_copy import ModelCopy
from taesd_stream.jobs.cluster.sharing import shared_frames, shared_picture
from taesd_stream.jobs.cluster.worker import SharedFolder, Worker
from taesd_stream.jobs.encoding_picture import PictureEncoding
from taesd_stream.models import Variant, variant_named
from taesd_stream.models.weights import variant_detection
from tests.engine.conftest import narrow_model_named
from tests.narrow_models import narrowed
from tiling import Size
from video import open_reader
from video.large.reading import open_regions
from video.transparency import OVER_WHITE


@pytest.fixture(autouse=True)
def _narrow_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers load copies of narrow models."""

    def narrow(name: str) -> Variant:
        variant = variant_named(name)
        return variant if variant.built_in else narrowed(name)

    monkeypatch.setattr(variant_detection, "variant_named", narrow)


@contextmanager
def prepared(
    ae: ts.AutoEncoder, job: Any, stored: Any, folder: Path, *, sees: bool
) -> Iterator[Worker]:
    worker = Worker("worker-0")
    (folder / "token").touch()
    shared = SharedFolder(str(folder), "token" if sees else "another")
    copied = ModelCopy.of(ae, "encode", ae.settings, ae, ModelOptions())
    seen = worker.prepare(copied, job, stored if sees else None, shared)
    assert seen == (sees, sees)
    yield worker
    if sees:
        worker._source.close()


@pytest.mark.parametrize("name", ["nano", "taehv", "taeh3"])
@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("sees", [True, False])
def test_latents_of_a_video(tmp_path: Path, name: str, step: int, sees: bool) -> None:
    ae = narrow_model_named(name)
    timing = ae.spec.encode_timing
    images = np.random.default_rng(0).integers(0, 256, (45, 18, 25, 3), np.uint8)
    np.save(tmp_path / "a.npy", images)
    frames = range(45)[1::step]
    options = TileOptions(tile=2, threads=1)
    whole = list(EncodeStream(coder_of(ae, "encode"), options).encode(images[1::step]))
    total = timing.latents(len(frames))
    each = 5 if timing.group is None else 10
    job = LatentUnits(frames, total, each, Size(18, 25), options, "model")
    with open_reader(tmp_path / "a.npy") as reader:
        sharing = shared_frames(reader, OVER_WHITE)
        made: list[torch.Tensor] = []
        with prepared(ae, job, sharing.stored, tmp_path, sees=sees) as worker:
            for unit in reversed(range(job.count)):
                numbers = job.frames_for(coder_of(ae, "encode"), unit)
                content = worker.make(unit, None if sees else sharing.piece_of(numbers))
                assert worker.part() == 1
                assert (content is None) == sees
                job.take(unit, content, tmp_path, "worker-0")
                made[:0] = latents_in(tmp_path / job.file_of(unit), ae.spec.latent_channels)
    assert len(made) == len(whole) == total
    assert all(torch.equal(one, other) for one, other in zip(made, whole, strict=True))


def test_rows_of_a_latent(tmp_path: Path) -> None:
    ae = narrow_model_named("taesd")
    image = np.random.default_rng(0).integers(0, 256, (83, 42, 3), np.uint8)
    path = tmp_path / "a.npy"
    np.save(path, image)
    options = TileOptions(tile=3, threads=1)
    with open_regions(path) as reader:
        scale = coder_of(ae, "encode").scale("vae")
        encoding = PictureEncoding.of(reader, ae, options, scale)
        heights = tuple(band.size for band in encoding.run.bands)
        job = RowUnits(heights, 2, options, "vae")
        sharing = shared_picture(path, reader, OVER_WHITE)
        with pytest.raises(ts.InputError, match="from every machine"):
            sharing.piece_of(range(1))
        with prepared(ae, job, sharing.stored, tmp_path, sees=True) as worker:
            for unit in range(job.count):
                job.take(unit, worker.make(unit, None), tmp_path, "worker-0")
                assert worker.part() == 1
        files = [tmp_path / job.file_of(unit) for unit in range(job.count)]
        made = torch.cat([rows for file in files for rows in latents_in(file, 4)], dim=1)
    picture = torch.from_numpy(image).movedim(-1, 0)[None] / 255
    assert len(files) == 2
    assert torch.equal(made, ae.encode(picture, convention="vae", tile=3, threads=1)[0])


def test_frames_that_are_missing_end_a_unit(tmp_path: Path) -> None:
    ae = narrow_model_named("nano")
    np.save(tmp_path / "a.npy", np.zeros((5, 16, 16, 3), np.uint8))
    job = LatentUnits(range(9), 9, 9, Size(16, 16), TileOptions(), "model")
    with open_reader(tmp_path / "a.npy") as reader:
        stored = shared_frames(reader, OVER_WHITE).stored
    with (
        prepared(ae, job, stored, tmp_path, sees=True) as worker,
        pytest.raises(ts.InputError, match="expected 9 frames, found no frame 5"),
    ):
        worker.make(0, None)
