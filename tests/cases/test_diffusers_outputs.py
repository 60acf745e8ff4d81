"""What diffusers itself saves: outputs of its pipelines and VAEs, whole, and configs of VAEs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import taesd_stream as ts
from taesd_stream.cli.main import main
from taesd_stream.models import variant_named
from taesd_stream.models.vae_figures import space_of_vae
from tests.cases.saving import SAVERS, Save, opened

PICTURES = torch.linspace(-3, 3, 3 * 4 * 6 * 8).reshape(3, 4, 6, 8)
VIDEO = torch.linspace(-3, 3, 16 * 5 * 6 * 8).reshape(1, 16, 5, 6, 8)


@pytest.fixture(scope="module")
def diffusers() -> ModuleType:
    """The library, imported by nobody else: it takes seconds in each process."""
    import diffusers

    return diffusers


@pytest.fixture(scope="module")
def output_of_pictures(diffusers: ModuleType) -> Callable[..., object]:
    """The class of what Stable Diffusion's pipelines return."""
    from diffusers.pipelines.stable_diffusion import StableDiffusionPipelineOutput

    return StableDiffusionPipelineOutput


@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize("is_numpy", [True, False])
def test_outputs_of_pipelines_saved_whole(
    output_of_pictures: Callable[..., object], save: Save, is_numpy: bool, tmp_path: Path
) -> None:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
    from diffusers.pipelines.wan.pipeline_output import WanPipelineOutput

    pictures, video = (x.numpy() if is_numpy else x for x in (PICTURES, VIDEO))
    output = output_of_pictures(images=pictures, nsfw_content_detected=[False] * 3)
    assert torch.equal(opened(output, tmp_path, save), PICTURES)
    frames = opened(WanPipelineOutput(frames=video), tmp_path, save)
    assert torch.equal(frames, VIDEO[0].movedim(0, 1))
    if not is_numpy:
        tiny = AutoencoderTinyOutput(latents=PICTURES)
        assert torch.equal(opened(tiny, tmp_path, save), PICTURES)
    none = output_of_pictures(images=pictures, nsfw_content_detected=None)
    assert torch.equal(ts.open_latents(none)[:], PICTURES)


@pytest.mark.usefixtures("diffusers")
@pytest.mark.parametrize("in_file", [True, False])
def test_a_distribution_is_its_mean_in_the_vaes_scale(in_file: bool, tmp_path: Path) -> None:
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
    from diffusers.models.modeling_outputs import AutoencoderKLOutput

    moments = torch.cat([PICTURES, PICTURES * 0], 1)
    output: object = AutoencoderKLOutput(latent_dist=DiagonalGaussianDistribution(moments))
    if in_file:
        torch.save(output, tmp_path / "a.pt")
        output = tmp_path / "a.pt"
    with ts.open_latents(output) as source:
        assert source.convention == "vae"
        assert torch.equal(source[:], PICTURES)


@pytest.mark.usefixtures("diffusers")
def test_a_picture_in_an_output_is_no_latent(tmp_path: Path) -> None:
    from diffusers.models.autoencoders.vae import DecoderOutput

    torch.save(DecoderOutput(sample=torch.zeros(1, 3, 20, 20)), tmp_path / "a.pt")
    with pytest.raises(ts.LatentsError, match="channels"):
        ts.open_latents(tmp_path / "a.pt")


@pytest.mark.parametrize("save", SAVERS)
def test_what_is_no_latent_in_an_output_is_named(
    output_of_pictures: Callable[..., object], save: Save, tmp_path: Path
) -> None:
    output = output_of_pictures(images="none", nsfw_content_detected=None)
    with pytest.raises(ts.LatentsError, match="images") as caught:
        opened(output, tmp_path, save)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_diffusers_is_not_imported(
    output_of_pictures: Callable[..., object], tmp_path: Path
) -> None:
    torch.save(output_of_pictures(PICTURES, None), tmp_path / "a.pt")
    code = (
        f"import sys, taesd_stream as ts; ts.open_latents({str(tmp_path / 'a.pt')!r})[:];"
        "assert not any(name.startswith('diffusers') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_line_reads_wrapped_latents(
    output_of_pictures: Callable[..., object], tmp_path: Path
) -> None:
    """The same pictures as from the tensor itself."""
    torch.save(output_of_pictures(PICTURES.numpy(), None), tmp_path / "wrapped.pt")
    torch.save(PICTURES, tmp_path / "plain.pt")
    for name in ("wrapped", "plain"):
        source, made = (str(tmp_path / f"{name}{suffix}") for suffix in (".pt", ".npy"))
        assert main(["decode", source, made, "--model", "latent2rgb", "--device", "cpu"]) == 0
    wrapped, plain = (np.load(tmp_path / f"{name}.npy") for name in ("wrapped", "plain"))
    assert np.array_equal(wrapped, plain)


def test_figures_are_read_from_a_config(diffusers: ModuleType, tmp_path: Path) -> None:
    diffusers.AutoencoderKL(scaling_factor=0.7, shift_factor=0.1).save_config(tmp_path)
    space = space_of_vae(tmp_path / "config.json", variant_named("taesd").space)
    latents = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(space.converted(latents, "vae"), latents / 0.7 + 0.1)
