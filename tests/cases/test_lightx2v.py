"""LightX2V's decoders: the shapes of others, trained on latents in the full VAE's scale."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import taesd_stream as ts
from taesd_stream.cli.main import main
from tests.cases.diffusers_sources import vae_figures
from tests.synthetic_weights import synthetic_latents, synthetic_state_dict

Weights = Callable[[str], dict[str, torch.Tensor]]

GOLDENS = Path(__file__).parents[1] / "data" / "goldens"
MANIFEST = json.loads((GOLDENS / "manifest.json").read_text())


@pytest.fixture(scope="module")
def weights() -> Weights:
    made: dict[str, dict[str, torch.Tensor]] = {}

    def get(name: str) -> dict[str, torch.Tensor]:
        if name not in made:
            arrays = synthetic_state_dict(MANIFEST[name])
            made[name] = {key: torch.from_numpy(array) for key, array in arrays.items()}
        return made[name]

    return get


def load(state: dict[str, torch.Tensor], variant: str) -> ts.AutoEncoder:
    return ts.load(state, variant=variant, device="cpu", backend="torch")


def test_the_decoder_for_hunyuan_video_1_5_equals_the_reference(weights: Weights) -> None:
    """The golden is the output of LightX2V's own code, in [-1, 1]."""
    reference = load_file(GOLDENS.parent / "references" / "lighttaehy1_5.safetensors")
    expected = (reference["decoded"] + 1) / 2
    ae = load(weights("taehv1_5"), "lighttaehy1_5")
    for tile in (None, 2):
        made = ae.decode(reference["latents"], convention="vae", tile=tile)
        assert float((made - expected).abs().max()) < 1e-4
    # LightX2V divides what the diffusion model made by the VAE's factor first.
    made = ae.decode(reference["latents"] * 1.03682)
    assert float((made - expected).abs().max()) < 1e-4


def test_the_decoder_for_wan_2_1_takes_the_scale_of_the_full_vae(weights: Weights) -> None:
    mean, deviation = vae_figures("autoencoder_kl_wan", "AutoencoderKLWan")
    z = torch.from_numpy(synthetic_latents((1, 2, 16, 2, 3)))
    reference = load(weights("taehv"), "taew2_1").decode(z * deviation + mean)
    light = load(weights("taehv"), "lighttaew2_1")
    assert torch.allclose(light.decode(z), reference, atol=1e-5)
    assert torch.equal(light.decode(z * deviation + mean, convention="vae"), reference)
    assert not torch.allclose(load(weights("taehv"), "taew2_1").decode(z), reference, atol=0.01)


@pytest.mark.parametrize(
    ("shapes", "stem", "chosen", "level"),
    [
        ("taew2_2", "lighttaew2_2", "lighttaew2_2", logging.INFO),
        ("taew2_2", "taew2_2", "taew2_2", logging.INFO),
        ("taew2_2", "weights", "taew2_2", logging.WARNING),
        ("taehv1_5", "lighttaehy1_5", "lighttaehy1_5", logging.INFO),
        ("taehv1_5", "vae", "taehv1_5", logging.WARNING),
    ],
)
def test_the_name_of_the_file_is_a_hint_and_the_log_says_so(
    *,
    tmp_path: Path,
    weights: Weights,
    caplog: pytest.LogCaptureFixture,
    shapes: str,
    stem: str,
    chosen: str,
    level: int,
) -> None:
    path = tmp_path / f"{stem}.safetensors"
    save_file(weights(shapes), path)
    with caplog.at_level(logging.INFO, logger="taesd_stream"):
        assert ts.load(path, device="cpu", backend="torch").spec.name == chosen
    (record,) = (each for each in caplog.records if "the shapes are those of" in each.message)
    assert record.levelno == level
    assert f"taken for {chosen}" in record.message
    assert "light" in record.message


@pytest.mark.parametrize("stem", ["lighttaew2_1", "weights"])
def test_16_channels_stay_a_question(
    tmp_path: Path, weights: Weights, capsys: pytest.CaptureFixture[str], stem: str
) -> None:
    save_file(weights("taehv"), tmp_path / f"{stem}.safetensors")
    torch.save(torch.zeros(1, 2, 16, 2, 2), tmp_path / "z.pt")
    words = [str(tmp_path / "z.pt"), "--model", str(tmp_path / f"{stem}.safetensors")]
    assert main(["plan", *words]) == 2
    told = capsys.readouterr().err
    assert "lighttaew2_1 (Wan 2.1 (LightX2V))" in told
    assert ("the name suggests lighttaew2_1" in told) == (stem == "lighttaew2_1")
    assert main(["plan", *words, "--variant", "lighttaew2_1"]) == 0


def test_they_only_decode(weights: Weights) -> None:
    ae = load(weights("taew2_2"), "lighttaew2_2")
    assert not ae.spec.can_encode
    with pytest.raises(ts.InputError, match="has no encoder, it only decodes"):
        ae.encode(torch.zeros(1, 1, 3, 16, 16))
