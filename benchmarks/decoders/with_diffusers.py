"""diffusers' AutoencoderTiny with the same weights under its own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import AutoencoderTiny
from torch import Tensor

from benchmarks.cases import Case
from benchmarks.decoders.decoder import Decoder, dtype_of
from benchmarks.weights import LATENT_CHANNELS, decoder_weights

__all__ = ["load_diffusers", "open_diffusers", "renamed"]


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official names to diffusers': its layers are numbered from the first convolution.

    >>> list(renamed({"3.conv.0.bias": None}))
    ['decoder.layers.2.conv.0.bias']
    """
    found = {}
    for name, tensor in state.items():
        number, _, rest = name.partition(".")
        found[f"decoder.layers.{int(number) - 1}.{rest}"] = tensor
    return found


def load_diffusers(precision: str, device: str = "cpu") -> Any:
    """AutoencoderTiny from its default configuration; its encoder stays random and unused."""
    vae = AutoencoderTiny(latent_channels=LATENT_CHANNELS)
    missing, unexpected = vae.load_state_dict(renamed(decoder_weights()), strict=False)
    wrong = [*unexpected, *(name for name in missing if name.startswith("decoder."))]
    if wrong:
        raise ValueError(f"AutoencoderTiny's names differ from those expected: {wrong}")
    return vae.eval().requires_grad_(False).to(device, dtype_of(precision))


def open_diffusers(case: Case, device: str) -> Decoder:
    """Plain, or with its own tiling as it comes."""
    vae = load_diffusers(case.precision, device)
    if case.family == "diffusers-tiled":
        vae.enable_tiling()
    dtype = dtype_of(case.precision)
    return Decoder(lambda z: vae.decode(z.to(device, dtype)).sample, black=-1.0)
