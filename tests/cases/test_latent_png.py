"""Photographs with an alpha channel are no latents, though 8-bit latents are RGBA pictures, too."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import taesd_stream as ts
from taesd_stream.cli.main import main

_SAMPLE = Path(ts.__file__).parent / "samples" / "astronaut"


def _photograph(shared: Path, side: int) -> np.ndarray:
    with Image.open(shared / "media" / "astronaut.png") as picture:
        return np.array(picture.convert("RGB").resize((side, side)))


def _alpha(kind: str, side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side] / (side - 1)
    alphas = {
        "opaque": np.ones((side, side)),
        "half": np.full((side, side), 0.5),
        "cut-out": (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1,
        "gradient": x,
        "soft": 0.3 + 0.4 * np.sin(3 * x) * y,
        "vignette": np.clip(1.5 - 3 * ((x - 0.5) ** 2 + (y - 0.5) ** 2), 0, 1),
    }
    return (255 * alphas[kind]).astype(np.uint8)


@pytest.mark.parametrize("side", [32, 256])
@pytest.mark.parametrize("kind", ["opaque", "half", "cut-out", "gradient", "soft", "vignette"])
def test_photographs_are_refused(
    kind: str, side: int, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = np.dstack([_photograph(shared, side), _alpha(kind, side)])
    Image.fromarray(picture).save(tmp_path / "a.png")
    with pytest.raises(ts.LatentsError, match="picture with transparency"):
        ts.open_latents(tmp_path / "a.png")
    made = tmp_path / "made.png"
    assert main(["decode", str(tmp_path / "a.png"), str(made), "--model", "latent2rgb"]) == 2
    assert "--layout CHW" in capsys.readouterr().err
    assert not made.exists()
    assert ts.open_latents(tmp_path / "a.png", layout="CHW").shape == (4, side, side)


def test_a_photograph_among_latents_is_refused(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "00.png").write_bytes((_SAMPLE / "00000.png").read_bytes())
    with ts.open_latents(tmp_path / "00.png") as source:
        height, width = source.height, source.width
    picture = np.dstack([_photograph(shared, 256), _alpha("opaque", 256)])[:height, :width]
    Image.fromarray(np.resize(picture, (height, width, 4))).save(tmp_path / "01.png")
    with (
        pytest.raises(ts.LatentsError, match=r"01\.png.*picture"),
        ts.open_latents(tmp_path) as source,
    ):
        source[:]


def test_latents_are_latents(shared: Path, tmp_path: Path) -> None:
    assert ts.open_latents(_SAMPLE).channels == 4
    real = torch.load(shared / "latents" / "sd_frames.pt", weights_only=True)[::20].float()
    generator = torch.Generator().manual_seed(0)
    for latent in [*real, torch.randn(4, 40, 40, generator=generator), torch.zeros(4, 40, 40)]:
        ts.latents.save_latents(tmp_path / "z.png", latent, overwrite=True)
        assert ts.open_latents(tmp_path / "z.png")[0].shape == latent.shape


@pytest.mark.parametrize("of", ["photograph", "dark", "ramp", "plain"])
def test_encoded_pictures_are_latents(of: str, shared: Path, tmp_path: Path) -> None:
    photograph = torch.from_numpy(_photograph(shared, 256)).movedim(-1, 0) / 255
    ramp = torch.linspace(0, 1, 256).expand(3, 256, 256)
    pictures = {
        "photograph": photograph,
        "dark": photograph * 0.1,
        "ramp": ramp,
        "plain": torch.full((3, 256, 256), 0.3),
    }
    (latent,) = ts.load("nano", device="cpu").encode(pictures[of][None])
    ts.latents.save_latents(tmp_path / "z.png", latent)
    assert ts.open_latents(tmp_path / "z.png").shape == (4, 32, 32)


@pytest.mark.parametrize("size", [(2**31 - 1, 1), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_a_size_that_the_file_cannot_have_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    data = bytearray((_SAMPLE / "00000.png").read_bytes())
    data[16:24] = struct.pack(">II", *size)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ts.LatentsError, match="expected a whole PNG"):
        ts.open_latents(tmp_path / "a.png")


def test_a_chunk_that_the_file_cannot_have_is_refused(tmp_path: Path) -> None:
    data = bytearray((_SAMPLE / "00000.png").read_bytes())
    place = data.index(b"IDAT") - 4
    data[place : place + 4] = struct.pack(">I", 2**31 - 1)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ts.LatentsError, match="2147483647 bytes of b'IDAT'"):
        ts.open_latents(tmp_path / "a.png")


@pytest.mark.parametrize("channels", [4, 128])
def test_noise_is_no_latent(channels: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    with pytest.raises(ts.LatentsError, match="spread evenly, as noise is"):
        ts.open_latents(tmp_path / "a.png", channels=channels)


@pytest.mark.parametrize("deviation", [0.3, 1, 1.5, 1.7])
@pytest.mark.parametrize("channels", [4, 128])
def test_normal_latents_are_latents(channels: int, deviation: float, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    latent = deviation * torch.randn(channels, 40, 40, generator=generator)
    ts.latents.save_latents(tmp_path / "z.png", latent)
    assert ts.open_latents(tmp_path / "z.png", channels=channels)[0].shape == latent.shape
