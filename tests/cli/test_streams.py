"""Standard output as a video, and what becomes of words when nobody reads them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest
import torch

from taesd_stream.cli.main import main

DECODE = ("decode", "clip.pt", "-", "--model", "latent2rgb")


@pytest.mark.parametrize("more", [(), ("--json",)])
@pytest.mark.usefixtures("clip_file")
def test_standard_output_holds_the_video_and_nothing_else(
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    more: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*DECODE, *more]) == 0
    out, err = capfdbinary.readouterr()
    assert out.startswith(b"\x1a\x45\xdf\xa3"), "Matroska"
    with av.open(io.BytesIO(out)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 10
    words = err.decode().splitlines()
    if more:
        assert [json.loads(line)["frames"] for line in words] == [10]
    else:
        assert words[-1].startswith("-: 10 frames at 24 fps, 64x48")
    for line in words:
        assert line.encode() not in out


@pytest.mark.parametrize("words", [DECODE, ("models",), ("models", "--json"), ("info", "clip.pt")])
@pytest.mark.usefixtures("clip_file")
def test_standard_output_without_room(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    with open("/dev/full", "w") as device:
        monkeypatch.setattr("sys.stdout", device)
        assert main(words) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("taesd-video: cannot write ")
    assert "No space left" in last


def test_a_reader_that_leaves_early(clip: torch.Tensor, tmp_path: Path) -> None:
    """As in `taesd-video decode z.pt - | head -c 1000`."""
    torch.save(clip.repeat(20, 1, 4, 4), tmp_path / "clip.pt")
    process = subprocess.Popen(
        [sys.executable, "-m", "taesd_stream", *DECODE, "--lossless"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    assert len(process.stdout.read(1000)) == 1000
    process.stdout.close()
    words = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 1
    assert "Traceback" not in words
    assert "Exception" not in words
    assert words.splitlines()[-1] == "taesd-video: writing '-' failed: Broken pipe"


@pytest.mark.parametrize("words", [("models",), ("models", "--json")])
def test_words_that_nobody_reads(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        assert main(words) == 1
        assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("clip_file")
def test_no_standard_output_at_all(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    outcome = command(*DECODE)
    assert outcome.status == 2
    assert "closed" in outcome.complaint
    assert command("models").status == 0
