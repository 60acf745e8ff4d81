"""Latents whose channels are the last axis, as Kandinsky 5's pipelines hand them out."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

import taesd_stream as ts
from tests.cases.smooth_latents import smooth


@pytest.mark.parametrize("shape", [(2, 5, 6, 7, 16), (5, 6, 7, 16), (6, 7, 16)], ids=str)
def test_channels_are_last_where_no_other_axis_can_be_theirs(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    torch.save(latents, tmp_path / "a.pt")
    asked = "HWC" if len(shape) == 3 else None
    with ts.open_latents(tmp_path / "a.pt", channels=16, layout=asked) as source:
        assert source.layout == {5: "N T H W C", 4: "T H W C", 3: "H W C"}[len(shape)]
        assert source.clips == (2 if len(shape) == 5 else 1)
        expected = latents.movedim(-1, -3).reshape(-1, 16, 6, 7)
        assert torch.equal(source[:], expected)
        assert torch.equal(source.region(0, slice(1, 4), slice(2, 7)), expected[0, :, 1:4, 2:7])


def video(latents: int, height: int, width: int) -> torch.Tensor:
    """A slow clip, (T, h, w, 16)."""
    scene, other = (smooth(count, 16, height, width, seed=count) for count in (1, latents))
    return (scene + 0.3 * other).movedim(1, -1).contiguous()


@pytest.mark.parametrize("shape", [(16, 12, 20), (21, 16, 20), (16, 12, 16), (16, 16, 16)])
@pytest.mark.parametrize("axes", [4, 5])
def test_the_numbers_say_it_where_another_axis_could_be_theirs(
    shape: tuple[int, int, int], axes: int, caplog: pytest.LogCaptureFixture
) -> None:
    """As many latents, or rows, as channels: Kandinsky 5's 61 frames."""
    stored = video(*shape)
    channels_first = stored.movedim(-1, 1).contiguous()
    leading = (None,) * (axes - 4)
    for source in (stored[leading], [stored[leading], torch.zeros_like(stored[leading])]):
        with caplog.at_level(logging.INFO, "taesd_stream"):
            with ts.open_latents(source, channels=16) as opened:
                assert opened.part_layout == ("N T H W C" if axes == 5 else "T H W C")
                assert torch.equal(opened[: len(stored)], channels_first)
            lines = [each.getMessage() for each in caplog.records]
            caplog.clear()
        assert len(lines) == (16 in shape[: 2 if axes == 4 else 3])
        assert all("told by content" in line for line in lines)
    for plain in (channels_first, channels_first.transpose(0, 1).contiguous()):
        with ts.open_latents(plain[leading], channels=16) as opened:
            assert torch.equal(opened[:], channels_first)


def test_pictures_as_wide_as_latents_have_channels_are_no_latents() -> None:
    with pytest.raises(ts.LatentsError, match="expected latents stored T C H W"):
        ts.open_latents(torch.zeros(2, 3, 128, 128))


def test_an_array_of_pictures_with_transparency_is_no_latents() -> None:
    with pytest.raises(ts.LatentsError, match="expected latents stored T C H W"):
        ts.open_latents(np.zeros((2, 6, 7, 4), np.float32), channels=4)
    assert ts.open_latents(np.zeros((2, 6, 7, 4), np.float32), layout="THWC").channels == 4
