"""Files whose headers claim more than there is, refused before anything is allocated."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from video import InputError, open_reader
from video.claimed_size import check_claimed_size, most_pixels

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform == "win32", reason="peaks of memory are asked of POSIX")
def test_no_header_claims_what_its_file_does_not_hold(tmp_path: Path) -> None:
    for library in ("pillow_heif", "tifffile", "imagecodecs"):
        pytest.importorskip(library)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.cases.claimed_sizes", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    outcomes = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    assert len(outcomes) > 20
    for outcome in outcomes:
        assert bool(outcome["error"]) != outcome["is_overruled"], outcome
        assert len(outcome["error"]) < 300, outcome
        assert outcome["seconds"] < 1, outcome
        assert outcome["grown_bytes"] < 200 * 2**20, outcome


@pytest.mark.parametrize(
    ("suffix", "mode", "options"),
    [
        (".png", "1", {"optimize": True}),
        (".jpg", "L", {"optimize": True}),
        (".webp", "RGB", {"lossless": True}),
        (".gif", "P", {}),
        (".tif", "1", {"compression": "group4"}),
        (".avif", "RGB", {"speed": 10}),
    ],
    ids=str,
)
def test_the_emptiest_of_pictures_is_read(
    suffix: str, mode: str, options: dict[str, object], tmp_path: Path
) -> None:
    Image.new(mode, (2400, 2000)).save(tmp_path / f"a{suffix}", **options)
    with open_reader(tmp_path / f"a{suffix}") as reader:
        (frame,) = reader
    assert frame.image.shape == (2000, 2400, 3)
    assert not np.any(frame.image)


def test_what_does_not_fit_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 2**27

    monkeypatch.setattr("video.claimed_size.psutil.virtual_memory", Memory)
    with pytest.raises(InputError, match=r"take 0\.2 GiB, and 0\.1 GiB of memory are free"):
        check_claimed_size((6000, 5000), "PNG", 10**8, Path("a.png"))
    assert most_pixels("h264", 10**8) == 2**24
