"""Pictures of any size to latents, region by region."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import taesd_stream as ts
from taesd_stream.latents.writing.region_writer import RegionWriter
from taesd_stream.models import variant_named
from video.large.writing import open_rows

pytest.importorskip("tifffile")
pytest.importorskip("zarr")
pytest.importorskip("imagecodecs")

HEIGHT, WIDTH = 85, 120


@pytest.fixture(scope="module")
def ae() -> ts.AutoEncoder:
    """An encoder with TAESD's shapes, whose weights mean nothing."""
    encoder = variant_named("taesd").encoder
    assert encoder is not None
    generator = torch.Generator().manual_seed(0)
    shapes = encoder().shapes()
    state = {f"encoder.{n}": torch.randn(s, generator=generator) / 12 for n, s in shapes.items()}
    return ts.load(state, variant="taesd", device="cpu", backend="torch")


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def save(pixels: NDArray[np.uint8], path: Path) -> Path:
    with open_rows(path, width=pixels.shape[1], height=pixels.shape[0]) as writer:
        writer.write(pixels)
    return path


def encoded(ae: ts.AutoEncoder, pixels: NDArray[np.uint8], **options: object) -> Tensor:
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    return ae.encode(image, **options)


@pytest.mark.parametrize("out", ["z.npy", "z.safetensors"])
@pytest.mark.parametrize("name", ["a.tif", "a.ome.zarr", "a.npy"])
def test_a_picture_is_encoded_as_a_whole_one_is(
    name: str, out: str, ae: ts.AutoEncoder, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    done = ts.encode_file(save(pixels, tmp_path / name), tmp_path / out, model=ae, tile=(3, 4))
    assert (done.frames, done.latents, done.channels) == (1, 1, 4)
    assert (done.height, done.width) == (11, 15)
    assert str(done).startswith(f"{tmp_path}/{out}: 1 latent of 4 channels, 15x11, ")
    with ts.open_latents(tmp_path / out) as latents:
        assert latents.layout == "T C H W"
        torch.testing.assert_close(latents[0:1], encoded(ae, pixels), atol=1e-5, rtol=0)
    assert {each.name for each in tmp_path.iterdir()} == {name, out}


def test_a_picture_that_goes_around(
    ae: ts.AutoEncoder, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    whole = pixels[:80]
    path = save(whole, tmp_path / "a.tif")
    ts.encode_file(path, tmp_path / "z.npy", model=ae, wrap="xy", tile=4)
    made = torch.from_numpy(np.load(tmp_path / "z.npy"))
    torch.testing.assert_close(made, encoded(ae, whole, wrap="xy"), atol=1e-5, rtol=0)
    with pytest.raises(ts.InputError, match="sides are multiples of 8"):
        ts.encode_file(save(pixels, tmp_path / "b.tif"), tmp_path / "y.npy", model=ae, wrap="x")


def test_there_and_back_again(
    ae: ts.AutoEncoder, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    ts.encode_file(save(pixels, tmp_path / "a.tif"), tmp_path / "z.npy", model=ae)
    done = ts.render(tmp_path / "z.npy", tmp_path / "b.tif", model="latent2rgb", device="cpu")
    assert (done.width, done.height) == (120, 88)


def test_ctrl_c_leaves_nothing(
    ae: ts.AutoEncoder, pixels: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(pixels, tmp_path / "a.tif")
    write = RegionWriter.write

    def interrupted(writer: RegionWriter, rows: slice, columns: slice, part: Tensor) -> None:
        write(writer, rows, columns, part)
        if rows.start:
            raise KeyboardInterrupt

    monkeypatch.setattr(RegionWriter, "write", interrupted)
    with pytest.raises(ts.Interrupted, match="nothing is left behind"):
        ts.encode_file(path, tmp_path / "z.npy", model=ae, tile=4)
    assert [each.name for each in tmp_path.iterdir()] == ["a.tif"]


def test_a_disk_that_is_full(
    ae: ts.AutoEncoder, pixels: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(pixels, tmp_path / "a.tif")
    put = RegionWriter._put

    def full(writer: RegionWriter, place: int, data: memoryview) -> None:
        if place > 900:
            raise OSError(28, "No space left on device")
        put(writer, place, data)

    monkeypatch.setattr(RegionWriter, "_put", full)
    with pytest.raises((ts.OutputError, OSError)):
        ts.encode_file(path, tmp_path / "z.npy", model=ae, tile=4)
    assert [each.name for each in tmp_path.iterdir()] == ["a.tif"]


def test_what_cannot_be_encoded(
    ae: ts.AutoEncoder, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    np.save(tmp_path / "f.npy", np.zeros((8, 8, 3)))
    with pytest.raises(ts.InputError, match="expected uint8 or uint16"):
        ts.encode_file(tmp_path / "f.npy", tmp_path / "z.npy", model=ae)
    path = save(pixels, tmp_path / "a.tif")
    (tmp_path / "z.npy").write_text("mine")
    with pytest.raises(ts.InputError, match="exists already"):
        ts.encode_file(path, tmp_path / "z.npy", model=ae)
    assert (tmp_path / "z.npy").read_text() == "mine"
    video = variant_named("taehv").encoder
    assert video is not None
    state = {f"encoder.{name}": torch.zeros(s) for name, s in video().shapes().items()}
    taehv = ts.load(state, variant="taehv", device="cpu")
    done = ts.encode_file(path, tmp_path / "v.npy", model=taehv)
    assert done.latents == 1
