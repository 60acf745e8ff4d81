"""Models newer than the goldens, against outputs of their own reference code.

``tests/data/references`` holds these outputs, under the weights of ``synthetic_weights``:
taeltx2_3_wide's from madebyollin/taehv's branch of that name (commit 32ac0146b110), taeqi2_1's from
a public copy of madebyollin/taesd's code with that model's F16Encoder and F16Decoder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import taesd_stream as ts
from taesd_stream.jobs.encoding import encode_file
from taesd_stream.models import detect, read_checkpoint
from tests.synthetic_weights import synthetic_state_dict

REFERENCES = Path(__file__).parents[1] / "data" / "references"
MANIFEST = json.loads((REFERENCES / "manifest.json").read_text())

StateDict = dict[str, Tensor]


def weights(name: str) -> StateDict:
    arrays = synthetic_state_dict(MANIFEST[name])
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


@pytest.fixture(scope="module", params=MANIFEST)
def name(request: pytest.FixtureRequest) -> str:
    """A model's name; the tests of one run together, since it is built for them."""
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def reference(name: str) -> StateDict:
    return load_file(REFERENCES / f"{name}.safetensors")


@pytest.fixture(scope="module")
def ae(name: str) -> ts.AutoEncoder:
    """Loaded by its shapes alone."""
    return ts.load(weights(name), device="cpu", backend="torch")


def test_shapes_alone_tell_the_variant(name: str) -> None:
    assert detect(read_checkpoint(weights(name))).name == name


def test_decoding_equals_the_reference(ae: ts.AutoEncoder, reference: StateDict) -> None:
    made = ae.decode(reference["latents"], tile=(2, 1))
    assert made.shape == reference["decoded"].shape
    assert float((made - reference["decoded"].clamp(0, 1)).abs().max()) < 1e-4
    inside = (reference["decoded"] > 0) & (reference["decoded"] < 1)
    assert float(inside.float().mean()) > 0.8


@pytest.mark.parametrize("tile", [None, 1])
def test_encoding_equals_the_reference(
    ae: ts.AutoEncoder, reference: StateDict, tile: int | None
) -> None:
    made = ae.encode(reference["images"], tile=tile)
    span = float(reference["encoded"].max() - reference["encoded"].min())
    assert float((made - reference["encoded"]).abs().max()) < 1e-4 * span


# --- transparency ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rgba() -> ts.AutoEncoder:
    return ts.load(weights("taeqi2_1"), device="cpu", backend="torch")


def over_white(reference: Tensor) -> Tensor:
    """Straight alpha over white by the definition, in bytes: (H, W, 3)."""
    picture = reference.clamp(0, 1).double()[0]
    flat = picture[:3] * picture[3] + (1 - picture[3])
    return (flat * 255 + 0.5).floor().permute(1, 2, 0)


def test_pictures_have_four_channels(rgba: ts.AutoEncoder) -> None:
    assert rgba.spec.image_channels == 4
    assert rgba.spec.spatial_scale == 16
    made = rgba.decode(torch.zeros(2, 64, 1, 2))
    assert made.shape == (2, 4, 16, 32)


def test_three_channels_are_encoded_as_opaque_ones(rgba: ts.AutoEncoder) -> None:
    rgb = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    opaque = torch.cat([rgb, torch.ones(1, 1, 32, 48)], dim=1)
    assert torch.equal(rgba.encode(rgb), rgba.encode(opaque))
    frame = (rgb[0] * 255).round().byte().permute(1, 2, 0).numpy()
    (streamed,) = rgba.encode_stream([frame])
    of_bytes = torch.from_numpy(frame).permute(2, 0, 1)[None] / 255
    assert torch.allclose(streamed, rgba.encode(of_bytes)[0], atol=1e-5)


@pytest.mark.parametrize("overlap", ["exact", 1])
def test_bytes_are_laid_over_white(rgba: ts.AutoEncoder, overlap: int | str) -> None:
    reference = load_file(REFERENCES / "taeqi2_1.safetensors")
    (frame,) = rgba.stream(reference["latents"], tile=None, overlap=overlap)  # type: ignore[arg-type]
    assert frame.shape == (48, 64, 3)
    difference = torch.from_numpy(frame).double() - over_white(reference["decoded"])
    assert float(difference.abs().max()) <= 1


@pytest.mark.parametrize("name", ["a.mp4", "a.jpg", "a.gif", "a.mov", "a.dzi"])
def test_files_that_are_laid_over_white_and_say_so(
    tmp_path: Path, rgba: ts.AutoEncoder, name: str
) -> None:
    reference = load_file(REFERENCES / "taeqi2_1.safetensors")
    done = ts.render(reference["latents"], tmp_path / name, model=rgba)
    assert any("over white" in note for note in done.notes)


@pytest.mark.parametrize("name", ["a.png", "a_%02d.png", "a_%02d.webp"])
@pytest.mark.parametrize("overlap", ["exact", 1])
def test_pictures_that_stay_transparent(
    tmp_path: Path, rgba: ts.AutoEncoder, name: str, overlap: int | str
) -> None:
    reference = load_file(REFERENCES / "taeqi2_1.safetensors")
    out, lossless = tmp_path / name, "webp" in name
    done = ts.render(  # type: ignore[call-overload]
        reference["latents"], out, model=rgba, tile=None, overlap=overlap, lossless=lossless
    )
    assert not any("over white" in note for note in done.notes)
    (path,) = tmp_path.iterdir()
    pixels = np.array(Image.open(path)).astype(np.float64)
    assert pixels.shape == (48, 64, 4)
    expected = reference["decoded"][0].clamp(0, 1).double().permute(1, 2, 0) * 255
    seen = pixels[..., 3] > 0  # WebP need not keep what is quite transparent
    assert np.abs(pixels - expected.numpy())[seen].max() <= 0.51
    assert np.abs(pixels - expected.numpy())[..., 3].max() <= 0.51
    assert (pixels[..., 3] < 250).any()


def over(reference: Tensor, color: tuple[int, int, int]) -> np.ndarray:
    """What Pillow makes of the reference over a colour."""
    rgba = (reference.clamp(0, 1)[0] * 255).round().byte().permute(1, 2, 0).numpy()
    image = Image.fromarray(rgba)
    under = Image.new("RGBA", image.size, color)
    return np.asarray(Image.alpha_composite(under, image).convert("RGB")).astype(int)


@pytest.mark.parametrize("color", ["#ff8000", (255, 128, 0)])
@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.tif"])
def test_a_background_is_laid_under_whatever_the_file_could_keep(
    tmp_path: Path, rgba: ts.AutoEncoder, name: str, color: str | tuple[int, int, int]
) -> None:
    reference = load_file(REFERENCES / "taeqi2_1.safetensors")
    path = tmp_path / name
    done = ts.render(reference["latents"], path, model=rgba, background=color)
    assert "transparency was laid over #ff8000" in done.notes
    pixels = (np.load(path) if name == "a.npy" else np.array(Image.open(path))).squeeze()
    assert np.abs(pixels - over(reference["decoded"], (255, 128, 0))).max() <= 1


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
def test_a_model_of_rgba_pictures_takes_their_alpha(
    tmp_path: Path, rgba: ts.AutoEncoder, name: str
) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1, 4, 32, 48), generator=generator, dtype=torch.uint8)
    pixels = images[0].permute(1, 2, 0).numpy()
    path, out = tmp_path / name, tmp_path / "a.safetensors"
    if name == "a.npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path)
    done = encode_file(path, out, model=rgba)
    assert not any("laid over" in note for note in done.notes)
    expected = rgba.encode(images.float() / 255)
    assert torch.allclose(load_file(out)["latents"], expected, atol=1e-5)
    done = encode_file(path, out, model=rgba, background="white", overwrite=True)
    assert f"{name}: what is transparent was laid over white" in done.notes
    flat = torch.from_numpy(over(images.float() / 255, (255, 255, 255)) / 255).float()
    expected = rgba.encode(flat.permute(2, 0, 1)[None])
    assert torch.allclose(load_file(out)["latents"], expected, atol=1e-4)


def test_a_background_that_is_no_colour_is_refused(tmp_path: Path) -> None:
    for color in ("fuchsiaish", "#12345678", (1, 2, 300)):
        with pytest.raises(ts.InputError, match="background: expected a colour such as white"):
            ts.render(torch.zeros(1, 4, 2, 2), tmp_path / "a.png", model="nano", background=color)  # type: ignore[arg-type]


def pixels_of(path: Path) -> np.ndarray:
    """RGBA by Pillow, numpy or libvpx through PyAV."""
    if path.suffix == ".npy":
        return np.load(path)[0]
    if path.suffix == ".safetensors":
        return load_file(path)["images"][0].permute(1, 2, 0).numpy()
    if path.suffix in (".png", ".tif", ".webp"):
        return np.asarray(Image.open(path))
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        decoder: Any = av.CodecContext.create("libvpx-vp9", "r")
        reader = decoder if stream.codec_context.name == "vp9" else stream
        frames = [each for packet in container.demux(stream) for each in reader.decode(packet)]
        return frames[0].reformat(format="rgba", src_colorspace=1).to_ndarray()


KEPT = {
    "a.tif": {},
    "a.npy": {},
    "a.safetensors": {},
    "large.png": {"preview": "small.png"},
    "large.npy": {"resume": True},
    "a.webp": {"lossless": True},
    "a.mkv": {"lossless": True},
    "a.mov": {"codec": "prores4444"},
    "resumed.mov": {"codec": "prores4444", "resume": True},
    "a.webm": {"crf": 4},
    "resumed.webm": {"crf": 4, "resume": True},
}


@pytest.mark.parametrize("name", KEPT)
def test_files_that_keep_transparency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rgba: ts.AutoEncoder, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    reference = load_file(REFERENCES / "taeqi2_1.safetensors")
    done = ts.render(reference["latents"], name, model=rgba, **KEPT[name])  # type: ignore[arg-type]
    assert not any("laid over" in note for note in done.notes)
    pixels = pixels_of(tmp_path / name).astype(np.float64)
    expected = reference["decoded"][0].clamp(0, 1).double().permute(1, 2, 0).numpy() * 255
    assert pixels.shape == expected.shape
    is_video = name.endswith((".mov", ".webm"))
    assert np.abs(pixels - expected)[..., 3].mean() <= (2 if is_video else 0.5)
    off = (pixels - expected)[pixels[..., 3] > 100]
    if name.endswith(".webm"):  # whose chroma is of half the size
        off = off[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert np.abs(off).mean() <= (6 if is_video else 0.5)


@pytest.mark.parametrize("name", ["a.tif", "a.mp4", "a.ome.zarr", "a.mov", "a.gif"])
def test_a_model_of_rgb_makes_what_it_made(tmp_path: Path, name: str) -> None:
    done = ts.render(torch.zeros(1, 4, 2, 2), tmp_path / name, model="nano", background="red")
    assert not any("laid over" in note for note in done.notes)


def test_latent_pngs_stack_tiles_of_four_channels(tmp_path: Path, rgba: ts.AutoEncoder) -> None:
    """As ``taesd.py`` has it: folded by unflatten, transpose and flatten."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1, 4, 32, 48), generator=generator, dtype=torch.uint8)
    Image.fromarray(images[0].permute(1, 2, 0).numpy()).save(tmp_path / "in.png")
    done = encode_file(tmp_path / "in.png", tmp_path / "out.png", model=rgba)
    assert any("--model taeqi2_1" in note for note in done.notes)
    levels = rgba.encode(images.float() / 255)[0].div(6).add(0.5).clamp(0, 1).mul(255).round()
    folded = levels.unflatten(0, (-1, 4)).transpose(0, 1).flatten(1, 2)
    stored = np.array(Image.open(tmp_path / "out.png"))
    assert stored.shape == (16 * 2, 3, 4)
    assert np.abs(stored.astype(int) - folded.permute(1, 2, 0).numpy()).max() <= 1
    with ts.open_latents(tmp_path / "out.png", channels=64) as source:
        read = source[0]
    assert read.shape[-3:] == (64, 2, 3)
    unfolded = torch.from_numpy(stored).permute(2, 0, 1).float() / 255
    unfolded = unfolded.unflatten(1, (16, -1)).transpose(0, 1).flatten(0, 1)
    assert torch.allclose(read.reshape(64, 2, 3), (unfolded - 0.5) * 6, atol=1e-5)
    made = ts.render(tmp_path / "out.png", tmp_path / "back.png", model=rgba)
    assert (made.width, made.height) == (48, 32)
    Image.fromarray(stored[:3]).save(tmp_path / "short.png")
    with pytest.raises(ts.InputError, match="16 pictures one below the other, found 3 rows"):
        ts.open_latents(tmp_path / "short.png", channels=64)
