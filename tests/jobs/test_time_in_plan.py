"""Jobs tell how long they take: tried where it is worth it, else only where it is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import taesd_stream as ts
from taesd_stream.engine.speed_trial import CrowdWatch
from taesd_stream.jobs import time_in_plan
from taesd_stream.jobs.decoding import plan_for

pytest.importorskip("tifffile")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAESD_STREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(CrowdWatch, "saw_a_crowd", lambda watch: False)
    return tmp_path / "cache"


@pytest.mark.parametrize("out", ["a.npy", "a.tif"])
def test_a_short_decode_tells_its_time_only_where_it_is_known(
    out: str, cache: Path, tmp_path: Path
) -> None:
    latents = torch.zeros(1, 4, 40, 40)
    told: list[ts.TilePlan] = []

    def make() -> ts.Rendered:
        return ts.render(
            latents, tmp_path / out, model="nano", backend="torch", device="cpu",
            on_plan=told.append, overwrite=True,
        )  # fmt: skip

    assert make().plan.seconds is None
    assert not cache.exists()
    assert plan_for(torch.zeros(9, 4, 64, 64), model="nano", backend="torch", device="cpu").seconds
    done = make()
    assert done.plan.seconds is not None
    assert [each.seconds for each in told] == [None, done.plan.seconds]


def test_a_long_decode_is_tried_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(time_in_plan, "_WORTH_WORKING", 1e6)
    for out in ("a.npy", "a.tif"):
        done = ts.render(
            torch.zeros(1, 4, 8, 8), tmp_path / out, model="nano", backend="torch", device="cpu"
        )
        assert done.plan.seconds is not None


@pytest.mark.parametrize("name", ["frames.npy", "picture.tif"])
def test_a_long_encode_is_tried_before_it_begins(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(time_in_plan, "_WORTH_WORKING", 1e6)
    made = ts.render(torch.zeros(1, 4, 8, 8), tmp_path / name, model="latent2rgb")
    done = ts.encode_file(
        made.path, tmp_path / "z.npy", model="nano", backend="torch", device="cpu"
    )
    assert done.plan.seconds is not None


def test_nobody_knows_how_long_an_iterator_takes(cache: Path) -> None:
    latents = (torch.zeros(4, 64, 64) for _ in range(3))
    assert plan_for(latents, model="nano", backend="torch").seconds is None
    assert not cache.exists()
