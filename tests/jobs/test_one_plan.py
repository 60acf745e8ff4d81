"""The plan that is told is the one that is carried out, and the one that is returned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import taesd_stream as ts
from taesd_stream.engine import budget
from taesd_stream.engine.run import Run

Models = Callable[..., ts.AutoEncoder]

LATENTS = torch.randn(20, 4, 8, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def carried_out(monkeypatch: pytest.MonkeyPatch) -> list[ts.TilePlan]:
    """The plans under which tiles are computed."""
    plans: list[ts.TilePlan] = []
    tiles = Run.tiles

    def noting(run: Run, *arguments: object, **options: object) -> object:
        plans.append(run.plan)
        return tiles(run, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Run, "tiles", noting)
    return plans


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Every look at how much memory is free."""
    looks: list[torch.device] = []
    free_bytes = budget.free_bytes

    def noting(device: torch.device) -> int:
        looks.append(device)
        return free_bytes(device)

    monkeypatch.setattr(budget, "free_bytes", noting)
    return looks


def render(out: Path, told: list[ts.TilePlan], **options: object) -> ts.Rendered:
    usual = {"model": "latent2rgb", "device": "cpu", "backend": "torch"}
    return ts.render(LATENTS, out, on_plan=told.append, **usual | options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.npy", {"frames": slice(3, 9)}),
        ("a.tif", {"frames": slice(3, 4)}),
        ("a.png", {"frames": slice(3, 4), "resume": True}),
        ("a.mkv", {"resume": True}),
    ],
)
def test_one_plan_is_told_carried_out_and_returned(
    name: str,
    options: dict[str, object],
    carried_out: list[ts.TilePlan],
    readings: list[torch.device],
    tmp_path: Path,
) -> None:
    told: list[ts.TilePlan] = []
    done = render(tmp_path / name, told, **options)
    assert len(told) == 1
    assert carried_out
    assert all(plan is done.plan for plan in (*told, *carried_out))
    assert len(readings) == 1


def test_one_plan_of_a_run_that_goes_on(
    carried_out: list[ts.TilePlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, told = tmp_path / "a.mp4", list[ts.TilePlan]()
    monkeypatch.setattr("taesd_stream.jobs.resume.resumed_video._FEWEST_SEGMENT_FRAMES", 6)
    monkeypatch.setattr("taesd_stream.jobs.resume.resumed_video._MOST_SEGMENT_FRAMES", 6)
    with monkeypatch.context() as patch:
        patch.setattr("video.segments.SegmentJoin", _fail)
        with pytest.raises(RuntimeError):
            render(out, told, resume=True)
    (tmp_path / "a.mp4.resume" / "00003.mp4").unlink()
    journal = tmp_path / "a.mp4.resume" / "journal.json"
    journal.write_text(journal.read_text().replace('"done": 4', '"done": 3'))
    told.clear()
    carried_out.clear()
    done = render(out, told, resume=True)
    assert (done.frames, done.plan.frames) == (20, 2)
    assert all(plan is done.plan for plan in (*told, *carried_out))
    assert told
    assert carried_out


def _fail(*_: object, **__: object) -> None:
    raise RuntimeError("the last step of a run")


def test_a_video_that_is_opened_shows_the_plan_that_it_is_decoded_under(
    carried_out: list[ts.TilePlan],
) -> None:
    ae = ts.load("latent2rgb", device="cpu", backend="torch")
    for latents in (LATENTS, iter(LATENTS), ts.open_latents(LATENTS)):
        carried_out.clear()
        run = ae.open_video(latents, tile=4)
        plan = run.plan
        frames = list(run)
        assert len(frames) == 20
        assert all(each is plan for each in carried_out)
    expected = list(ae.stream(LATENTS, tile=4))
    assert all((one == other).all() for one, other in zip(frames, expected, strict=True))


@pytest.mark.parametrize(("name", "frames"), [("a.mp4", None), ("a.tif", slice(0, 1))])
def test_a_finished_run_that_is_told_to_resume_says_so(
    name: str, frames: slice | None, tmp_path: Path
) -> None:
    out = tmp_path / name
    made = render(out, [], resume=True, frames=frames)
    before = out.read_bytes()
    again = render(out, [], resume=True, frames=frames)
    assert "is complete already" in str(again)
    assert (again.frames, again.width, again.height) == (made.frames, made.width, made.height)
    assert out.read_bytes() == before
    with pytest.raises(ts.OutputExistsError, match="no run of this command is known to have made"):
        render(out, [], resume=True, frames=frames, crop=(0, 0, 16, 16))
    out.write_bytes(before + b" ")
    with pytest.raises(ts.OutputExistsError):
        render(out, [], resume=True, frames=frames)
    render(out, [], resume=True, frames=frames, overwrite=True)
    assert out.read_bytes() == before


def test_a_finished_run_is_known_whatever_tile_would_be_chosen_now(tmp_path: Path) -> None:
    options = {"frames": slice(0, 1), "resume": True}
    made = render(tmp_path / "a.tif", [], tile=4, **options)
    again = render(tmp_path / "a.tif", [], **options)
    assert "is complete already" in str(again)
    assert again.plan.tile == made.plan.tile


def test_a_finished_run_with_a_preview_says_so_too(tmp_path: Path) -> None:
    options = {"frames": slice(0, 1), "resume": True, "preview": tmp_path / "p.png"}
    render(tmp_path / "a.tif", [], **options)
    assert "is complete already" in str(render(tmp_path / "a.tif", [], **options))


def test_a_resumed_run_does_not_take_anothers_output_for_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"another's")
    with pytest.raises(ts.OutputExistsError):
        render(tmp_path / "a.mp4", [], resume=True)
    assert (tmp_path / "a.mp4").read_bytes() == b"another's"


def test_a_lossless_deep_zoom_keeps_every_byte(tmp_path: Path) -> None:
    render(tmp_path / "a.dzi", [], lossless=True, frames=slice(0, 1))
    assert {file.suffix for file in (tmp_path / "a_files").rglob("*.*")} == {".png"}
    with pytest.raises(ts.InputError, match="a compression that keeps every byte, found jpeg"):
        render(tmp_path / "b.dzi", [], lossless=True, compression="jpeg", frames=slice(0, 1))
    with pytest.raises(ts.InputError, match=r"lossless: expected none for \.jpg"):
        render(tmp_path / "c.jpg", [], lossless=True, frames=slice(0, 1))
