"""Four axes where T equals C: the numbers tell which is which, as they do for five."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from taesd_stream.cli.main import main
from tests.cases.smooth_latents import smooth


def clip(channels: int = 16, side: int = 12, *, latents: int | None = None) -> Tensor:
    """A slow video, (T, C, h, w), of as many latents as channels."""
    count = latents or channels
    scene, other = (
        smooth(1, channels, side, side + 3),
        smooth(count, channels, side, side + 3, seed=1),
    )
    return scene + 0.3 * other


@pytest.mark.parametrize("channels", [4, 16, 32])
@pytest.mark.parametrize("kind", ["tensor", "array", "list", "pt", "npy"])
def test_the_numbers_tell(kind: str, channels: int, tmp_path: Path) -> None:
    video = clip(channels)
    for stored, layout in ((video, "T C H W"), (video.transpose(0, 1).contiguous(), "C T H W")):
        path = tmp_path / f"a.{kind}"
        source = {"tensor": stored, "array": stored.numpy(), "list": [stored]}.get(kind, path)
        if kind == "pt":
            torch.save(stored, path)
        elif kind == "npy":
            np.save(path, stored.numpy())
        for wanted in (None, channels):
            with ts.open_latents(source, channels=wanted) as opened:
                assert opened.part_layout == layout
                assert torch.equal(opened[:], video)


def test_another_number_of_latents_is_told_where_no_model_is_named() -> None:
    """AnimateDiff's latents without their N: 4 channels and 16 latents, or 16 and 4."""
    video = clip(4, latents=16)
    assert ts.open_latents(video).layout == "T C H W"
    assert ts.open_latents(video.transpose(0, 1)).layout == "C T H W"


def test_one_line_says_so_and_none_where_time_is_first(caplog: pytest.LogCaptureFixture) -> None:
    video = clip()
    with caplog.at_level(logging.INFO, "taesd_stream"):
        assert ts.open_latents(video, channels=16).layout == "T C H W"
        assert not caplog.records
        assert ts.open_latents(video.transpose(0, 1), channels=16).layout == "C T H W"
    (record,) = caplog.records
    assert "taken as C T H W, told by content" in record.getMessage()
    assert "--layout" in record.getMessage()
    assert ts.open_latents(video.transpose(0, 1), layout="TCHW").layout == "T C H W"


@pytest.mark.parametrize(
    "latents",
    [smooth(16, 16, 12, 15), torch.randn(16, 16, 8, 8), torch.zeros(16, 16, 8, 8)],
    ids=["unrelated", "noise", "flat"],
)
@pytest.mark.parametrize("is_list", [True, False])
def test_where_the_numbers_do_not_tell_one_line_says_what_is_taken(
    latents: Tensor, is_list: bool, caplog: pytest.LogCaptureFixture
) -> None:
    source = [latents, latents] if is_list else latents
    with caplog.at_level(logging.INFO, "taesd_stream"):
        assert torch.equal(ts.open_latents(source, channels=16)[:16], latents)
        (record,) = caplog.records
        told = record.getMessage()
        assert "taken as T C H W, though C T H W would fit and the numbers do not tell" in told
        assert "--layout" in told
        for said in ("TCHW", "CTHW"):
            ts.open_latents(source, channels=16, layout=said)
        ts.open_latents(latents[:8], channels=16)
    assert len(caplog.records) == 1


def test_the_first_part_tells_for_all() -> None:
    video = clip()
    parts = [video.transpose(0, 1), torch.zeros(16, 16, *video.shape[2:])]
    assert torch.equal(ts.open_latents(parts)[:16], video)
    assert ts.open_latents(parts).part_layout == "C T H W"


def test_decode_and_stream_tell(model, caplog: pytest.LogCaptureFixture) -> None:
    """A video of channels first is the video; pictures are pictures."""
    ae = model("taehv")
    video = clip(side=3)
    channels_first = video.transpose(0, 1)
    expected = ae.decode(video[None])[0]
    with caplog.at_level(logging.INFO, "taesd_stream"):
        assert ae.decode(video).shape == (len(video), *expected.shape[1:])
        assert not caplog.records
        torch.testing.assert_close(ae.decode(channels_first), expected, atol=1e-5, rtol=0)
        assert len(caplog.records) == 1
    frames = list(ae.stream(channels_first))
    assert len(frames) == len(expected)
    for one, other in zip(frames, expected.mul(255).movedim(1, -1).numpy(), strict=True):
        assert np.abs(one - other).max() <= 0.51


def test_a_model_of_pictures_makes_one_for_each_latent() -> None:
    ae = ts.load("latent2rgb_flux1", device="cpu")
    video = clip()
    assert torch.equal(ae.decode(video.transpose(0, 1)), ae.decode(video))


def test_taehvs_own_latents(shared: Path) -> None:
    stored = torch.load(shared / "latents" / "wan_t2v.pth", weights_only=True, map_location="cpu")[
        0
    ]
    assert torch.equal(ts.open_latents(stored)[:], stored.transpose(0, 1))
    assert ts.open_latents(stored.transpose(0, 1)).layout == "T C H W"


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = clip()
    torch.save(video, tmp_path / "right.pt")
    torch.save(video.transpose(0, 1).contiguous(), tmp_path / "a.pt")
    for name in ("right", "a"):
        arguments = [str(tmp_path / f"{name}.pt"), str(tmp_path / f"{name}.npy")]
        assert main(["decode", *arguments, "--model", "latent2rgb_flux1"]) == 0
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "right.npy"))
    assert capsys.readouterr().err.count("taken as C T H W") == 1
