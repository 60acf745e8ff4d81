"""Latents in the scale of the full VAE: the same pictures as in the model's own."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import taesd_stream as ts
from taesd_stream.models import VARIANTS, variant_named
from taesd_stream.models.latent_spaces import LatentSpace
from taesd_stream.models.vae_figures import space_of_vae
from tests.cases.diffusers_sources import pipeline_function, vae_figures

FACTORS = {
    # diffusers' own defaults, and what StabilityAI, Black Forest Labs and NVIDIA publish.
    "taesd": (0.18215, 0.0),
    "taesdxl": (0.13025, 0.0),
    "taesd3": (1.5305, 0.0609),
    "taef1": (0.3611, 0.1159),
    "taesana": (0.41407, 0.0),
    "taehv": (0.476986, 0.0),
    "taehv1_5": (1.03682, 0.0),
}
STATISTICS = {
    "taew2_1": ("autoencoder_kl_wan", "AutoencoderKLWan"),
    "taem1": ("autoencoder_kl_mochi", "AutoencoderKLMochi"),
}


def space_of(name: str) -> LatentSpace:
    return variant_named(name).space


def some_latents(channels: int, *shape: int) -> Tensor:
    return torch.randn(
        *shape[:-2], channels, *shape[-2:], generator=torch.Generator().manual_seed(0)
    )


@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_and_a_shift_are_the_published_ones(name: str) -> None:
    factor, shift = FACTORS[name]
    latents = some_latents(space_of(name).channels, 3, 5)
    vae = latents / factor + shift
    torch.testing.assert_close(space_of(name).converted(latents, "vae"), vae)
    torch.testing.assert_close(space_of(name).converted(vae, "model"), latents)


@pytest.mark.parametrize("name", STATISTICS)
def test_means_and_deviations_are_those_of_diffusers(name: str) -> None:
    mean, deviation = vae_figures(*STATISTICS[name])
    latents = some_latents(space_of(name).channels, 3, 5)
    torch.testing.assert_close(space_of(name).converted(latents, "vae"), latents * deviation + mean)


def test_flux2_is_normalised_by_patches_as_diffusers_does_it() -> None:
    """Packed, scaled as a batch norm of 128 channels, and unpacked: pipeline_flux2_klein.py."""
    space = space_of("taef2")
    latents = some_latents(32, 1, 6, 8)
    patches = pipeline_function("flux2.pipeline_flux2_klein", "_patchify_latents")(latents)
    mean, deviation = (
        torch.tensor(figures).view(1, -1, 1, 1) for figures in (space.mean, space.deviation)
    )
    unpatchify = pipeline_function("flux2.pipeline_flux2_klein", "_unpatchify_latents")
    expected = unpatchify(patches * deviation + mean)
    torch.testing.assert_close(space.converted(latents, "vae"), expected)
    part = space.converted(latents[..., 1:4, 3:], "vae", origin=(1, 3))
    torch.testing.assert_close(part, expected[..., 1:4, 3:])


def test_every_space_names_its_source() -> None:
    assert all(variant.space.source for variant in VARIANTS)


@pytest.mark.parametrize("name", ["taesd", "taef2", "taehv"])
def test_decoding_is_the_same_from_either(name: str, model) -> None:
    ae = model(name)
    latents = some_latents(ae.spec.latent_channels, 1, 3, 5, 6)
    vae = ae.spec.space.converted(latents, "vae")
    expected = ae.decode(latents)
    close = {"atol": 1e-5, "rtol": 0}
    torch.testing.assert_close(ae.decode(vae, convention="vae"), expected, **close)
    torch.testing.assert_close(ae.decode(vae, convention="vae", tile=2), expected, **close)
    frames = list(ae.stream(latents[0]))
    for made in (
        list(ae.stream(vae[0], convention="vae")),
        list(ae.stream(ts.open_latents(vae[0], convention="vae"))),
        list(ae.open_video(iter(vae[0]), convention="vae")),
    ):
        assert len(made) == len(frames)
        for one, other in zip(made, frames, strict=True):
            assert np.abs(one.astype(int) - other).max() <= 1
    pushed = ae.open_stream(length=3, convention="vae")
    assert sum(len(pushed.push(latent)) for latent in vae[0]) + len(pushed.flush()) == len(frames)


@pytest.mark.parametrize(
    ("dtype", "error"),
    [
        (torch.float64, 1e-6),
        (torch.float16, 1e-3),
        (torch.bfloat16, 1e-2),
        (torch.float8_e4m3fn, 0.1),
    ],
    ids=str,
)
def test_numbers_of_any_kind_are_converted(dtype: torch.dtype, error: float) -> None:
    ae = ts.load("latent2rgb", device="cpu")
    latents = some_latents(4, 1, 5, 6)
    vae = (latents / 0.18215).to(dtype)
    expected = ae.decode(latents)
    torch.testing.assert_close(ae.decode(vae, convention="vae"), expected, atol=error, rtol=0)


def test_a_gradient_is_converted_as_well() -> None:
    ae = ts.load("latent2rgb", device="cpu")
    z = some_latents(4, 1, 5, 6).requires_grad_()
    (of_model,) = torch.autograd.grad(ae.decode(z).sum(), z)
    vae = (z.detach() / 0.18215).requires_grad_()
    (of_vae,) = torch.autograd.grad(ae.decode(vae, convention="vae").sum(), vae)
    torch.testing.assert_close(of_vae, of_model * 0.18215)


def test_a_picture_in_bands_is_the_same_from_either(model) -> None:
    """In regions that begin anywhere in a patch."""
    ae = model("taef2")
    latents = some_latents(32, 9, 11)
    vae = ae.spec.space.converted(latents, "vae")
    made = torch.zeros(3, 72, 88)
    source = ts.open_latents(vae, convention="vae")
    for region, tile in ae.open_picture(source, tile=(5, 3)).tiles():
        made[:, region.y.start : region.y.stop, region.x.start : region.x.stop] = tile
    torch.testing.assert_close(made.clamp(0, 1), ae.decode(latents[None])[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["taesd", "taef2"])
def test_encoding_makes_either(name: str, model) -> None:
    ae = model(name)
    pictures = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    expected = ae.spec.space.converted(ae.encode(pictures), "vae")
    torch.testing.assert_close(ae.encode(pictures, convention="vae"), expected)
    frames = (pictures * 255).round().byte().movedim(1, -1).numpy()
    for one, other in zip(
        ae.encode_stream(frames, convention="vae"), ae.encode_stream(frames), strict=True
    ):
        torch.testing.assert_close(one, ae.spec.space.converted(other, "vae"))


def test_a_model_keeps_the_convention_it_was_loaded_for() -> None:
    latents = some_latents(4, 1, 6, 7)
    vae = latents / 0.18215
    expected = ts.load("latent2rgb", device="cpu").decode(latents)
    ae = ts.load("latent2rgb", device="cpu", convention="vae")
    torch.testing.assert_close(ae.decode(vae), expected)
    torch.testing.assert_close(ae.decode(latents, convention="model"), expected)


@pytest.mark.parametrize("marked", [True, False])
def test_comfyuis_latents_know_their_scale(marked: bool, tmp_path: Path) -> None:
    """As SaveLatent writes them, and as it did before it had the marker (then they are scaled)."""
    latents = some_latents(4, 2, 6, 7)
    entries = {"latent_tensor": latents / 0.18215 if marked else latents}
    if marked:
        entries["latent_format_version_0"] = torch.tensor([])
    save_file(entries, tmp_path / "a.latent")
    with ts.open_latents(tmp_path / "a.latent") as source:
        assert source.convention == ("vae" if marked else "model")
        assert f"in the scale of the {source.convention}" in source.describe()
    ts.render(tmp_path / "a.latent", tmp_path / "made.npy", model="latent2rgb", device="cpu")
    ts.render(latents, tmp_path / "expected.npy", model="latent2rgb", device="cpu")
    made, expected = (np.load(tmp_path / f"{name}.npy") for name in ("made", "expected"))
    assert np.abs(made.astype(int) - expected).max() <= 1


def test_files_of_two_scales_are_not_joined(tmp_path: Path) -> None:
    marker = {"latent_format_version_0": torch.tensor([])}
    latents = some_latents(4, 1, 6, 7)
    save_file({"latent_tensor": latents / 0.18215, **marker}, tmp_path / "1.latent")
    save_file({"latent_tensor": latents}, tmp_path / "2.latent")
    with pytest.raises(ts.LatentsError, match=r"\(vae\), found model: decode files .* apart"):
        ts.open_latents(tmp_path)


@pytest.mark.parametrize(
    ("given", "scale", "told"),
    [
        ("model", 1 / 0.18215, "--convention vae"),
        ("vae", 1.0, "--convention model"),
        ("model", 1.0, None),
        ("vae", 1 / 0.18215, None),
        ("model", 0.0, None),
        ("vae", 0.0, None),
    ],
)
def test_numbers_that_contradict_are_told_once(
    given, scale: float, told: str | None, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    latents = some_latents(4, 3, 16, 16) * scale
    with caplog.at_level(logging.WARNING, "taesd_stream"):
        ts.render(latents, tmp_path / "a.mp4", model="latent2rgb", convention=given)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == (told is not None)
    if told:
        assert told in lines[0]
        assert len(lines[0]) < 300


def test_no_real_latents_are_doubted(shared: Path, caplog: pytest.LogCaptureFixture, model) -> None:
    for file, name in (("sd_frames.pt", "taesd"), ("flux2_clip.safetensors", "taef2")):
        with ts.open_latents(shared / "latents" / file) as source:
            scale = model(name)._coders["decode"].scale(None, source)
            for latent in source:
                scale._was_looked_at = False
                scale.to_network(latent)
    assert not caplog.records


def test_a_space_without_figures_says_what_to_do(model) -> None:
    ae = model("taeltx_2")
    with pytest.raises(ts.InputError, match=r"LTX-2.*per_channel_statistics.*give .* --vae PATH"):
        ae.decode(some_latents(128, 1, 2, 2, 2), convention="vae")


LTX = {
    "ltx.safetensors": (
        "vae.per_channel_statistics.mean-of-means",
        "vae.per_channel_statistics.std-of-means",
    ),
    "vae/diffusion_pytorch_model.safetensors": ("latents_mean", "latents_std"),
}


@pytest.mark.parametrize("file", LTX)
def test_figures_are_read_from_the_vaes_own_weights(file: str, tmp_path: Path) -> None:
    """As Lightricks publish LTX-2 in one file, and as diffusers saves a pipeline."""
    names = LTX[file]
    mean, deviation = torch.randn(128), torch.rand(128) + 0.5
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    figures = dict(zip(names, (mean, deviation), strict=True))
    save_file({**figures, "decoder.conv_in.weight": torch.zeros(2)}, path)
    given = path if path.parent == tmp_path else tmp_path
    space = space_of_vae(given, space_of("taeltx_2"))
    latents = some_latents(128, 2, 3)
    expected = latents * deviation[:, None, None] + mean[:, None, None]
    torch.testing.assert_close(space.converted(latents, "vae"), expected)


def test_figures_are_read_from_a_batch_norm(tmp_path: Path) -> None:
    mean, variance = torch.randn(128), torch.rand(128) + 0.5
    save_file({"bn.running_mean": mean, "bn.running_var": variance}, tmp_path / "bn.safetensors")
    latents = some_latents(32, 1, 4, 6)
    norm = torch.nn.BatchNorm2d(128, eps=1e-4, affine=False).eval()
    norm.running_mean, norm.running_var = mean, variance
    patchify = pipeline_function("flux2.pipeline_flux2_klein", "_patchify_latents")
    unpatchify = pipeline_function("flux2.pipeline_flux2_klein", "_unpatchify_latents")
    expected = unpatchify(norm(patchify(latents)))
    made = space_of_vae(tmp_path / "bn.safetensors", space_of("taef2")).converted(latents, "model")
    torch.testing.assert_close(made, expected)


def test_a_model_is_loaded_with_the_figures_of_a_vae(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"scaling_factor": 0.5}')
    latents = some_latents(4, 1, 3, 5)
    expected = ts.load("latent2rgb", device="cpu").decode(latents)
    ae = ts.load("latent2rgb", device="cpu", vae=tmp_path)
    torch.testing.assert_close(ae.decode(latents / 0.5, convention="vae"), expected)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{}", "found none"),
        ("{", "cannot be read"),
        ("[1]", "cannot be read"),
        ('{"latents_mean": [1, 2], "latents_std": [1, 2]}', "found 2 means and 2 deviations"),
        ('{"latents_mean": ["x"], "latents_std": [1]}', "cannot be read"),
        ('{"scaling_factor": 0}', "cannot be read"),
    ],
)
def test_a_vae_without_figures_is_refused(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ts.CheckpointError, match=told):
        ts.load("latent2rgb", device="cpu", vae=tmp_path)


def test_a_convention_that_is_none() -> None:
    with pytest.raises(ts.InputError, match="expected model or vae, found 'comfy'"):
        ts.open_latents(torch.zeros(4, 8, 8), convention="comfy")
