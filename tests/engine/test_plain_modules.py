"""Halves of models as plain modules: the same pictures, gradients of weights, and the way back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import taesd_stream as ts

Models = Callable[..., ts.AutoEncoder]


@pytest.mark.parametrize("name", ["taesd", "taef2", "taesdv", "taehv"])
def test_it_makes_what_the_reference_makes(
    name: str, model: Models, golden: Callable[[str], dict[str, Tensor]]
) -> None:
    ae, known = model(name), golden(name)
    with torch.no_grad():
        decoded = ae.decoder_module()(known["latents"]).clamp(0, 1)
    torch.testing.assert_close(decoded, known["decoded"].clamp(0, 1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["taesd", "taesana", "taew2_2", "taecvx", "taeh3", "taem1"])
def test_it_makes_what_tiles_make(name: str, narrow: Models) -> None:
    ae = narrow(name)
    is_video = ae.coders[1] is not None and ae.coders[1].remembers
    generator = torch.Generator().manual_seed(0)
    leading = (2, 7) if is_video else (2,)
    z = torch.randn(*leading, ae.spec.latent_channels, 3, 4, generator=generator)
    with torch.no_grad():
        made = ae.decoder_module()(z).clamp(0, 1)
    torch.testing.assert_close(made, ae.decode(z, tile=2), atol=1e-5, rtol=0)
    frames = torch.rand(1, *((9,) if is_video else ()), ae.spec.image_channels, 50, 64)
    with torch.no_grad():
        latents = ae.encoder_module()(frames)
    torch.testing.assert_close(latents, ae.encode(frames, tile=2), atol=1e-4, rtol=0)


def test_what_is_learned_is_what_a_loaded_module_decodes() -> None:
    ae = ts.load("nano", device="cpu", backend="torch")
    z = torch.randn(1, 4, 6, 5, generator=torch.Generator().manual_seed(1))
    before, module = ae.decode(z), ae.decoder_module()
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    module(z).square().mean().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    optimiser.step()
    tuned = ts.load(module, device="cpu", backend="torch")
    assert tuned.spec.name == "nano"
    with torch.no_grad():
        torch.testing.assert_close(
            tuned.decode(z, tile=3), module(z).clamp(0, 1), atol=1e-5, rtol=0
        )
    assert float((tuned.decode(z) - before).abs().max()) > 1e-4
    assert torch.equal(ae.decode(z), before), "the parameters are copies"


@pytest.mark.parametrize("name", ["taesd", "taef1", "taew2_1"])
def test_a_module_is_known_by_its_variant_where_shapes_are_shared(name: str, model: Models) -> None:
    ae = model(name)
    for module in (ae.decoder_module(), ae.encoder_module()):
        assert ts.load(module, device="cpu", backend="torch").spec.name == name


def test_parameters_are_precise_whatever_the_model_computes_in(narrow: Models) -> None:
    for dtype, expected in (("bfloat16", torch.float32), ("float64", torch.float64)):
        module = narrow("taesd", dtype).decoder_module()
        assert {parameter.dtype for parameter in module.parameters()} == {expected}


def test_other_axes_and_halves_that_are_not_there_are_refused(model: Models) -> None:
    with pytest.raises(ts.InputError, match="taesd takes 4 channels, found 3"):
        model("taesd").decoder_module()(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ts.InputError, match="latent2rgb has no encoder"):
        ts.load("latent2rgb", device="cpu").encoder_module()
