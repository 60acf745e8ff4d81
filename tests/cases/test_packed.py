"""Packed latents, as diffusers' pipelines return them: the same pictures as before packing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from safetensors.torch import save_file
from torch import Tensor

import taesd_stream as ts
from taesd_stream.cli.main import main
from taesd_stream.latents.tensors import TensorStore
from tests.cases.diffusers_sources import pipeline_function
from tests.cases.smooth_latents import in_patches, one_by_one, smooth

_QWEN21 = "qwenimage21.pipeline_qwenimage21"
_SELF = SimpleNamespace(vae_scale_factor=8, patch_size=2)


def unpacked_by(
    module: str, *arguments: object, name: str = "_unpack_latents"
) -> Callable[..., Any]:
    """diffusers' own function, given what comes after the latents."""
    unpack = pipeline_function(module, name)
    if "krea2" in module:
        return lambda z: unpack(_SELF, z, *arguments)
    return lambda z: unpack(z, *arguments)


# Tokens, features, the size in pixels or None where it is to be told, and who unpacks them.
PIPELINES: dict[str, tuple[int, int, int, tuple[int, int] | None, Callable[..., Any]]] = {
    "flux": (16, 64, 64, None, unpacked_by("flux.pipeline_flux", 128, 128, 8)),
    "flux wide": (16, 60, 64, (96, 160), unpacked_by("flux.pipeline_flux", 96, 160, 8)),
    "flux cut": (16, 60, 64, (111, 175), unpacked_by("flux.pipeline_flux", 111, 175, 8)),
    "chroma": (16, 64, 64, None, unpacked_by("chroma.pipeline_chroma", 128, 128, 8)),
    "qwen": (16, 80, 64, (160, 128), unpacked_by("qwenimage.pipeline_qwenimage", 160, 128, 8)),
    "krea2": (16, 64, 64, None, unpacked_by("krea2.pipeline_krea2", 128, 128)),
    "nucleus": (
        16, 60, 64, (160, 96),
        unpacked_by("nucleusmoe_image.pipeline_nucleusmoe_image", 160, 96, 2, 8),
    ),
    "bria": (16, 64, 64, None, unpacked_by("bria.pipeline_bria", 128, 128, 16)),
    "fibo": (48, 192, 192, (256, 768), unpacked_by("bria_fibo.pipeline_bria_fibo", 256, 768, 16)),
    "fibo one by one": (
        48, 48, 48, (96, 128),
        unpacked_by("bria_fibo.pipeline_bria_fibo", 96, 128, 16, name="_unpack_latents_no_patch"),
    ),
    "qwen 2.1": (64, 64, 64, None, unpacked_by(_QWEN21, 128, 128, 16)),
    "layered": (
        16, 180, 64, (96, 160),
        unpacked_by("qwenimage.pipeline_qwenimage_layered", 96, 160, 2, 8),
    ),
    "ltx": (128, 192, 128, (256, 256), unpacked_by("ltx.pipeline_ltx", 3, 8, 8)),
    "ltx2 wide": (128, 160, 128, (128, 256), unpacked_by("ltx2.pipeline_ltx2", 5, 4, 8)),
}  # fmt: skip


def in_time(latents: Tensor) -> Tensor:
    """(N, C, h, w) or (N, C, T, h, w) one after the other."""
    return latents if latents.dim() == 4 else rearrange(latents, "n c t h w -> (n t) c h w")


@pytest.mark.parametrize("name", PIPELINES)
def test_latents_are_unpacked_as_diffusers_does_it(name: str) -> None:
    channels, tokens, features, size, unpack = PIPELINES[name]
    for pictures in (1, 3):
        packed = torch.randn(pictures, tokens, features, generator=torch.Generator().manual_seed(1))
        expected = in_time(unpack(packed))
        with ts.open_latents(packed, channels=channels, size=size) as source:
            assert torch.equal(source[:], expected)
            assert (source.channels, len(source)) == (channels, len(expected))
            assert source.clips == (pictures if "ltx" in name else len(expected))
            rows, columns = slice(1, source.height - 1), slice(3, source.width)
            last = source.region(len(source) - 1, rows, columns)
            assert torch.equal(last, expected[-1][:, rows, columns])


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("kind", ["pt", "safetensors", "npy", "npz", "array", "list", "dict"])
def test_wherever_they_are(kind: str, axes: int, tmp_path: Path) -> None:
    plain = smooth(1, 16, 12, 20, seed=3)
    packed = in_patches(plain) if axes == 3 else in_patches(plain)[0]
    path = tmp_path / f"a.{kind}"
    sources: dict[str, Any] = {
        "array": packed.numpy(),
        "list": [packed, packed],
        "dict": {"latents": packed},
    }
    if kind == "pt":
        torch.save({"samples": packed}, path)
    elif kind == "safetensors":
        save_file({"latents": packed}, path)
    elif kind == "npy":
        np.save(path, packed.numpy())
    elif kind == "npz":
        np.savez_compressed(path, packed.numpy())
    with ts.open_latents(sources.get(kind, path), channels=16, size=(96, 160)) as source:
        assert torch.equal(source[0], plain[0])
        assert "packed" in source.describe()


@pytest.mark.parametrize("planes", [(2, 128, 5, 7), (128, 5, 7), (2, 128, 5, 32)])
def test_flux2_as_planes_of_patches(planes: tuple[int, ...]) -> None:
    stored = torch.randn(planes, generator=torch.Generator().manual_seed(0))
    unpatchify = pipeline_function("flux2.pipeline_flux2", "_unpatchify_latents")
    expected = unpatchify(stored.view(-1, *planes[-3:]))
    with ts.open_latents(stored, channels=32) as source:
        assert torch.equal(source[:], expected)
        part = source.region(0, slice(1, 4), slice(3, 14))
        assert torch.equal(part, expected[0][:, 1:4, 3:14])


def test_flux2_in_comfyuis_file_is_normalised(tmp_path: Path) -> None:
    plain = smooth(1, 32, 16, 16)
    planes = pipeline_function("flux2.pipeline_flux2", "_patchify_latents")(plain)
    entries = {"latent_tensor": planes.contiguous(), "latent_format_version_0": torch.tensor([])}
    save_file(entries, tmp_path / "a.latent")
    for channels in (32, None):
        with ts.open_latents(tmp_path / "a.latent", channels=channels) as source:
            assert torch.equal(source[:], plain)
            assert source.convention == "model"


def test_ideogram4_has_the_channels_last() -> None:
    """pipeline_ideogram4.py: view(..., grid_h, grid_w, patch, patch, channels)."""
    plain = smooth(2, 32, 20, 20)
    packed = rearrange(plain, "n c (h p) (w q) -> n (h w) (p q c)", p=2, q=2)
    with ts.open_latents(packed, channels=32) as source:
        assert torch.equal(source[:], plain)


def test_four_pictures_are_no_latent_of_stable_diffusion(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = smooth(4, 16, 16, 16, seed=2)
    packed = in_patches(plain)
    assert packed.shape == (4, 64, 64)
    with caplog.at_level(logging.INFO, "taesd_stream"):
        assert torch.equal(ts.open_latents(packed)[:], plain)
    (record,) = caplog.records
    assert "packed, told by content" in record.getMessage()
    with pytest.raises(
        ts.LayoutError, match=r"is packed latents of 16 channels.*--layout CHW"
    ) as caught:
        ts.open_latents(packed, channels=4)
    assert "\n" not in str(caught.value)
    assert ts.open_latents(packed, channels=4, layout="CHW").shape == (4, 64, 64)


def test_a_size_of_plain_latents_is_left_out_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = smooth(1, 16, 12, 20)
    with caplog.at_level(logging.INFO, "taesd_stream"):
        assert torch.equal(ts.open_latents([plain, plain], size=(800, 600))[0], plain[0])
    (record,) = caplog.records
    assert "the size is left out, as these latents are not packed" in record.getMessage()


def test_plain_latents_get_no_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "taesd_stream"):
        for channels in (4, 16):
            for made in (smooth, torch.randn, torch.zeros):
                latent = made(channels, 64, 64)
                for wanted in (None, channels):
                    source = ts.open_latents(latent, channels=wanted)
                    assert (source.layout, source.remark) == ("C H W", "")
        for width in (64, 128):
            assert ts.open_latents(smooth(32, 40, width), channels=32).layout == "C H W"
        assert ts.open_latents(smooth(128, 40, 128), channels=128).layout == "C H W"
    assert not caplog.records


@pytest.mark.parametrize("blur", [0.0, 0.1])
def test_a_picture_of_tiles_is_no_packed_latents(blur: float) -> None:
    """Tiles of 32 pixels make columns in fours, as packing does; an encoder blurs their edges."""
    tiles = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(0))
    plane = tiles.repeat_interleave(4, 1).repeat_interleave(4, 2)
    for axis in (1, 2):
        plane = (1 - 2 * blur) * plane + blur * (plane.roll(1, axis) + plane.roll(-1, axis))
    assert ts.open_latents(plane).layout == "C H W"
    assert ts.open_latents(plane, channels=4).layout == "C H W"


def test_a_picture_is_no_packed_latents() -> None:
    """An RGB picture of 64x64 for a model of 16 channels."""
    with pytest.raises(ts.LatentsError, match=r"expected latents stored C H W with 16"):
        ts.open_latents(smooth(3, 64, 64), channels=16)


@pytest.mark.parametrize(
    ("model", "packed", "of"),
    [
        (4, in_patches(smooth(1, 16, 12, 20)), 16),
        (32, in_patches(smooth(1, 16, 12, 20)), 16),
        (128, in_patches(smooth(1, 32, 16, 16)), 32),
        (32, one_by_one(smooth(1, 128, 3, 8, 8)), 128),
    ],
)
def test_another_models_packed_latents_are_refused_as_such(
    model: int, packed: Tensor, of: int
) -> None:
    with pytest.raises(ts.LayoutError, match=f"packed latents of {of} channels: use the model"):
        ts.open_latents(packed, channels=model)


def test_what_fits_two_packings_is_told_by_its_numbers_or_asked() -> None:
    plain = smooth(1, 32, 16, 16, seed=4)
    assert torch.equal(ts.open_latents(in_patches(plain))[:], plain)
    video = smooth(1, 128, 3, 8, 8, seed=5)
    with ts.open_latents(one_by_one(video), size=(256, 256)) as source:
        assert torch.equal(source[:], in_time(video))
    with pytest.raises(ts.LayoutError, match="of 32 or 128 channels with --model"):
        ts.open_latents(torch.randn(1, 64, 128))


@pytest.mark.parametrize(
    ("packed", "likeliest"),
    [
        (in_patches(smooth(1, 16, 12, 20)), "160x96"),
        (in_patches(smooth(1, 16, 18, 32)), "256x144"),
        (one_by_one(smooth(1, 128, 3, 8, 8)), r"256x256 \(3 latents\)"),
        (one_by_one(smooth(1, 128, 4, 8, 8)), r"256x256 \(4 latents\)"),
    ],
)
def test_an_unknown_size_is_asked_for_the_likeliest_first(packed: Tensor, likeliest: str) -> None:
    with pytest.raises(
        ts.LayoutError, match=f"--size WIDTHxHEIGHT.* such as {likeliest}"
    ) as caught:
        ts.open_latents(packed)
    assert len(str(caught.value)) < 300


def test_a_square_number_of_tokens_may_be_no_square() -> None:
    """18x50 latents are 15x15 tokens in number, and 9x25 to look at."""
    with pytest.raises(ts.LayoutError, match="such as 400x144"):
        ts.open_latents(in_patches(smooth(1, 16, 18, 50)), channels=16)
    assert ts.open_latents(in_patches(smooth(1, 16, 30, 30)), channels=16).shape[-2:] == (30, 30)


def test_a_size_that_does_not_fit_is_refused_with_those_that_do() -> None:
    with pytest.raises(ts.LayoutError, match=r"the size 96x96: give --size.*160x96"):
        ts.open_latents(in_patches(smooth(1, 16, 12, 20)), channels=16, size=(96, 96))


def test_it_can_be_said() -> None:
    random = torch.randn(16, 64, 64, generator=torch.Generator().manual_seed(0))
    assert ts.open_latents(random, channels=16).layout == "C H W"
    unpack = pipeline_function("flux.pipeline_flux", "_unpack_latents")
    with ts.open_latents(random, channels=16, layout=" Packed") as source:
        assert torch.equal(source[:], unpack(random, 128, 128, 8))
    with pytest.raises(ts.LatentsError, match="expected packed latents"):
        ts.open_latents(torch.zeros(4, 8, 8), layout="packed")
    with pytest.raises(ts.LatentsError, match="use one of CHW, HWC, packed"):
        ts.open_latents(in_patches(smooth(1, 16, 16, 16)), layout="NCHW")


def test_a_size_tells_what_the_numbers_do_not() -> None:
    """As planes these are pictures of 512x512 pixels, packed they are sixteen of 128x128."""
    random = torch.randn(16, 64, 64)
    assert ts.open_latents(random, channels=16, size=(128, 128)).clips == 16
    assert ts.open_latents(random, channels=16, size=(512, 512)).layout == "C H W"


def test_a_size_that_the_numbers_contradict_gets_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    packed = in_patches(smooth(1, 16, 20, 36))
    ts.open_latents(packed, channels=16, size=(160, 288))
    assert not [each for each in caplog.records if each.levelno == logging.WARNING]
    ts.open_latents(packed, channels=16, size=(288, 160))
    (record,) = caplog.records
    assert "288x160 pixels neighbours look far more alike than in ones of 160x288" in (
        record.getMessage()
    )


@pytest.mark.parametrize("axes", [2, 3])
def test_an_iterator_may_yield_them(axes: int) -> None:
    plain = smooth(3, 16, 12, 20)
    each = in_patches(plain)
    packed = each.split(1) if axes == 3 else each.unbind()
    source = ts.open_latents(iter(packed), channels=16, size=(96, 160))
    assert torch.equal(torch.stack(list(source)), plain)
    with pytest.raises(ts.LatentsError, match="expected one latent, found 3 that are packed"):
        next(iter(ts.open_latents(iter([each]), channels=16, size=(96, 160))))


def test_no_mode_of_torch_matters() -> None:
    plain = smooth(4, 16, 16, 16)
    packed, wide = in_patches(plain), in_patches(smooth(1, 16, 12, 20))
    with torch.device("meta"), torch.inference_mode():
        assert torch.equal(ts.open_latents(packed)[:], plain)
        with pytest.raises(ts.LayoutError, match="such as 160x96"):
            ts.open_latents(wide, channels=16)


def test_only_rows_of_tokens_that_are_needed_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = smooth(2, 16, 40, 24)
    source = ts.open_latents(in_patches(plain), channels=16, size=(320, 192))
    read: list[tuple[slice, ...]] = []
    copy_to = TensorStore.copy_to

    def spying(self: TensorStore, out: Tensor, index: tuple[slice, ...]) -> None:
        read.append(index)
        copy_to(self, out, index)

    monkeypatch.setattr(TensorStore, "copy_to", spying)
    part = source.region(1, slice(5, 9), slice(3, 8))
    assert torch.equal(part, plain[1, :, 5:9, 3:8])
    assert read == [(slice(1, 2), slice(2 * 12, 5 * 12), slice(0, 64))]


@pytest.mark.parametrize("name", ["taesd3", "taehv", "taef2", "taeltx_2"])
def test_pictures_are_those_of_what_was_packed(name: str, model) -> None:
    """Several packed pictures are no video, whatever the model makes of others."""
    ae = model(name)
    channels = ae.spec.latent_channels
    if name == "taeltx_2":
        plain = smooth(2, 128, 3, 4, 4)
        packed, ready = one_by_one(plain), plain.transpose(1, 2)
        size = (128, 128)
    else:
        ready = smooth(2, channels, 8, 8)
        packed, size = in_patches(ready), (64, 64)
    expected = ae.decode(ready)
    torch.testing.assert_close(ae.decode(packed, size=size), expected, atol=1e-5, rtol=0)
    frames = list(ae.stream(ts.open_latents(packed, channels=channels, size=size)))
    wanted = expected.reshape(-1, *expected.shape[-3:]).movedim(1, -1).mul(255).round().byte()
    assert len(frames) == len(wanted)
    for one, other in zip(frames, wanted.numpy(), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


def test_a_folder_of_packed_pictures_is_pictures(tmp_path: Path, model) -> None:
    ae = model("taehv")
    plain = smooth(3, 16, 8, 8)
    for number, packed in enumerate(in_patches(plain)):
        torch.save(packed, tmp_path / f"{number}.pt")
    with ts.open_latents(tmp_path, channels=16) as source:
        assert (source.clips, len(source)) == (3, 3)
        assert torch.equal(source[:], plain)
        ts.render(source, tmp_path / "a.npy", model=ae)
    expected = ae.decode(plain).movedim(1, -1).mul(255).round().byte().numpy()
    assert np.abs(np.load(tmp_path / "a.npy").astype(int) - expected).max() <= 1


def test_conventions_hold_for_what_is_unpacked(model) -> None:
    ae = model("taef2")
    plain = smooth(1, 32, 20, 20)
    vae = in_patches(ae.spec.space.converted(plain, "vae"))
    made = ae.decode(vae, convention="vae")
    torch.testing.assert_close(made, ae.decode(plain), atol=1e-5, rtol=0)


def test_real_latents_are_told_from_planes_and_back(shared: Path) -> None:
    wan = torch.load(shared / "latents" / "wan_t2v.pth", weights_only=True, map_location="cpu")[0]
    with ts.open_latents(shared / "latents" / "flux2_clip.safetensors") as source:
        flux2 = source[::8].float()
    with ts.open_latents(shared / "latents" / "sd_frames.pt") as source:
        sd = source[::8].float()
    for frames, side in ((wan.transpose(0, 1)[::4].float(), 40), (flux2, 30)):
        square = frames[:, :, :side, :side]
        assert torch.equal(ts.open_latents(in_patches(square))[:], square)
        channels = frames.shape[1]
        for height in (4, 8, 16, side):
            for width in (64, 128):
                planes = torch.cat([frames[0], frames[0].flip(-1)] * 2, dim=-1)
                part = planes[:, :height, 3 : 3 + width]
                for wanted in (None, channels):
                    assert ts.open_latents(part, channels=wanted).layout == "C H W"
    for frame in sd:
        for height in (4, 8, 16, 60):
            assert ts.open_latents(frame[:, :height, 5:69]).layout == "C H W"


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = smooth(4, 16, 16, 16, seed=2)
    torch.save(in_patches(plain), tmp_path / "a.pt")
    torch.save(plain, tmp_path / "plain.pt")
    command = ["decode", str(tmp_path / "a.pt"), str(tmp_path / "out_%02d.png")]
    assert main([*command, "--model", "nano"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "packed latents of 16 channels" in said
    assert main(command) == 2
    assert "taken as packed" in capsys.readouterr().err
    for name in ("a", "plain"):
        arguments = [str(tmp_path / f"{name}.pt"), str(tmp_path / f"{name}.npy")]
        assert main(["decode", *arguments, "--model", "latent2rgb_flux1"]) == 0
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "plain.npy"))
    assert "taken as packed" in capsys.readouterr().err
    assert main(["plan", str(tmp_path / "a.pt"), "--model", "taef1"]) == 0
    assert "taken as packed" in capsys.readouterr().err
    assert main(["info", str(tmp_path / "a.pt")]) == 0
    assert "taken as packed" in capsys.readouterr().out


def test_the_command_line_asks_for_a_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = smooth(1, 16, 12, 20, seed=3)
    torch.save(in_patches(plain), tmp_path / "a.pt")
    command = ["decode", str(tmp_path / "a.pt"), str(tmp_path / "a.npy"), "--model"]
    assert main([*command, "latent2rgb_flux1"]) == 2
    assert "such as 160x96" in capsys.readouterr().err
    assert main(["info", str(tmp_path / "a.pt")]) == 0
    assert "60 tokens of 2x2 patches of 16 channels" in capsys.readouterr().out
    assert main([*command, "latent2rgb_flux1", "--size", "160x96"]) == 0
    expected = ts.load("latent2rgb_flux1", device="cpu").decode(plain).movedim(1, -1)
    made = np.load(tmp_path / "a.npy")
    assert np.array_equal(made, expected.mul(255).round().byte().numpy())
