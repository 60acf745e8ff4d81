"""Lossless videos that few programs play say so, and what to use."""

from __future__ import annotations

from pathlib import Path

import pytest

from taesd_stream.cli.main import main


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_lossless_mp4_says_who_will_not_play_it(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["demo", str(tmp_path / name), "--backend", "torch", "--lossless"]
    assert main(command) == 0
    said = capsys.readouterr().err
    is_told = "phones, browsers and Windows will not play: for them leave --lossless out" in said
    assert is_told == (name != "a.mkv")
