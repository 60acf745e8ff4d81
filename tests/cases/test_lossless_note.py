"""Lossless videos that few programs play say so, and what to use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from taesd_stream.cli.main import main


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_lossless_mp4_says_who_will_not_play_it(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "z.npy", np.zeros((2, 4, 3, 5), np.float32))
    words = [str(tmp_path / "z.npy"), str(tmp_path / name), "--model", "latent2rgb", "--lossless"]
    assert main(["decode", *words]) == 0
    said = capsys.readouterr().err
    is_told = "phones, browsers and Windows will not play: for them leave --lossless out" in said
    assert is_told == (name != "a.mkv")
