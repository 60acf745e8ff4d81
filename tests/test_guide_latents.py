"""The example that optimises latents brings their picture nearer to what was given."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("crop", [[], ["--crop", "40"]])
def test_latents_come_nearer_to_a_picture(
    crop: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    from guide_latents import main

    astronaut = Path("taesd_stream/samples/astronaut")
    picture = next(iter(sorted((EXAMPLES.parent / astronaut).glob("*.png"))))
    out = tmp_path / "nearer.png"
    main([str(picture), str(out), "--size", "64", "--steps", "4", *crop])
    before, after = map(float, re.findall(r"([\d.]+) dB", capsys.readouterr().out))
    assert after > before
    assert cv2.imread(str(out)).shape == (64, 64, 3)
