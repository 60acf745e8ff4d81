"""Several latents: one picture each, or one video, and which is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import taesd_stream as ts
from taesd_stream.cli.main import main

FLUX1 = ["--model", "latent2rgb_flux1"]


@pytest.fixture
def four(tmp_path: Path) -> Path:
    torch.save(torch.randn(4, 16, 6, 7), tmp_path / "four.pt")
    return tmp_path / "four.pt"


@pytest.mark.parametrize("out", ["out_%02d.png", "folder"])
def test_the_plan_says_pictures(
    out: str, four: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["plan", str(four), str(tmp_path / out), *FLUX1]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("decode 4 pictures of 56x48 pixels")
    assert "4 pictures, one for each latent; for a video write .mp4" in told.err
    assert main(["decode", str(four), str(tmp_path / out), *FLUX1]) == 0
    assert "4 pictures, one for each latent" in capsys.readouterr().err


def test_a_video_is_frames(four: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(four), *FLUX1]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("decode 4 frames")
    assert not told.err


@pytest.mark.parametrize(
    ("out", "pictures"),
    [("out.png", "out_%05d.png"), ("a.b.jpg", "a.b_%05d.jpg"), ("out.tif", "out_%05d.png")],
)
def test_one_picture_is_refused_and_how_to_get_all_is_said(
    out: str, pictures: str, four: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["decode", str(four), str(tmp_path / out), *FLUX1]) == 2
    said = capsys.readouterr().err
    assert f"for all of them write {pictures}, a folder, or a video" in said
    assert "--frames N (frames= in Python) for one" in said
    assert not (tmp_path / out).exists()


def test_a_model_of_videos_says_whose_frames_the_pictures_are(
    four: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["plan", str(four), str(tmp_path / "out_%02d.png"), "--model", "taew2_1"]
    assert main(command) == 0
    assert "13 pictures, the frames of a video of 4 latents" in capsys.readouterr().err
    assert main([*command, "--layout", "NCHW"]) == 0
    assert "4 pictures, one for each latent" in capsys.readouterr().err


def test_pictures_that_are_said_to_be_such_are_no_video(model, tmp_path: Path) -> None:
    ae = model("taehv")
    latents = torch.randn(3, 16, 5, 6)
    ts.render(latents, tmp_path / "a.npy", model=ae, layout="NCHW")
    expected = ae.decode(latents).movedim(1, -1).mul(255).round().byte().numpy()
    made = np.load(tmp_path / "a.npy")
    assert made.shape == expected.shape
    assert np.abs(made.astype(int) - expected).max() <= 1
    with ts.open_latents([latents, latents], layout="NCHW") as source:
        assert (source.clips, len(source)) == (6, 6)
