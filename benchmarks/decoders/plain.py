"""Plain PyTorch: undivided, compiled, or in naive tiles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.cases import Case
from benchmarks.decoders.decoder import Decoder, dtype_of
from benchmarks.plain import NAIVE_TILE, PlainDecoder, decode_naive_tiles, naive_recompute
from benchmarks.weights import LATENT_CHANNELS, decoder_weights

__all__ = ["load_plain", "open_plain"]


def load_plain(precision: str = "float32", device: str = "cpu") -> nn.Module:
    """The plain decoder with the fixed weights, channels last."""
    decoder = PlainDecoder(LATENT_CHANNELS)
    decoder.load_state_dict(decoder_weights())
    decoder.eval().requires_grad_(False).to(device, dtype_of(precision))
    decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return decoder


def open_plain(case: Case, device: str) -> Decoder:
    """One of the three, in the case's precision."""
    plain = load_plain(case.precision, device)
    dtype = dtype_of(case.precision)

    def prepared(z: Tensor) -> Tensor:
        return z.to(device, dtype).contiguous(memory_format=torch.channels_last)

    if case.family == "naive-tiles":
        return Decoder(
            lambda z: decode_naive_tiles(plain, prepared(z)),
            detail=f"tiles of {NAIVE_TILE} latents; inner ones cost {naive_recompute():.2f} times",
        )
    if case.family == "compile":
        # Freezing folds the weights in; on a GPU there is nothing to gain from it here.
        freezing: dict[str, Any] | None = {"freezing": True} if device == "cpu" else None
        compiled = torch.compile(plain, options=freezing)
        return Decoder(lambda z: compiled(prepared(z)), detail=f"options={freezing}")
    return Decoder(lambda z: plain(prepared(z)))
