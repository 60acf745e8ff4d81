"""The same latents through a full VAE undivided, in others' tiles, in ours, and through tiny ones.

There are no published weights of full VAEs here: random ones have the same layers, arithmetic and
memory, and what is lost by tiles is measured against the same weights undivided.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import taesd_stream as ts
from benchmarks.memory import forget_peak, peak_bytes, resident_bytes
from benchmarks.weights import decoder_weights
from taesd_stream.engine.budget import release
from taesd_stream.engine.load import Weights
from taesd_stream.samples import sample_path
from video import write_image

__all__ = ["random_sd_vae", "run_fine"]

_FACTOR = 0.18215  # of Stable Diffusion 1's latents
_TILE = 64  # latents of diffusers' tiles, as pipelines of Stable Diffusion have them
_SHOWN_GAIN = 4
_OTHERS: Final = ("taesd", "nano")
"""Other models for the same latents, whose pictures are not compared."""


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to decode, and what it took.

    Attributes:
        name: Of the way.
        seconds: What it took.
        grown_bytes: What the process held more at its peak than before.
        error: The root of the mean square difference from the undivided decode; None for another
            model.
        worst: The largest difference.
        shift: The largest difference between means of a colour over one tile's area.
    """

    name: str
    seconds: float
    grown_bytes: int
    error: float | None = None
    worst: float | None = None
    shift: float | None = None


def random_sd_vae() -> Any:
    """A diffusers.AutoencoderKL of Stable Diffusion's sizes, with random weights."""
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        sample_size=8 * _TILE,
    )
    _draw(vae)
    return vae.eval().requires_grad_(False)


def _draw(vae: nn.Module) -> None:
    """Weights that keep what goes through them at its size, and norms that matter."""
    generator = torch.Generator().manual_seed(0)
    for name, weight in vae.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if name.endswith("bias"):
            weight.data = noise / 5
        elif "norm" in name:
            weight.data = 1 + noise / 5
        else:
            weight.data = noise / weight[0].numel() ** 0.5


def run_fine(pixels: int, say: Callable[[str], None], picture: Path | None = None) -> str:
    """Decode a picture of so many pixels a side in every way, in words.

    Args:
        picture: Where to write what undivided, others' and our tiles make, and their errors.
    """
    with ts.open_latents(sample_path()) as source:
        sample = source[0][None]
    side = pixels // 8
    latents = F.interpolate(sample, size=(side, side), mode="bicubic") / _FACTOR
    vae = random_sd_vae()
    found: list[_Way] = []
    pictures: dict[str, Tensor] = {}
    whole: Tensor | None = None
    for name, decode in _ways(vae, latents):
        say(name)
        way, made = _measured(name, decode, whole)
        found.append(way)
        say(_row(way))
        if made.shape[-1] == pixels:
            pictures[name] = made
        whole = made if whole is None else whole
    if picture is not None:
        _show(pictures, picture)
    return "\n".join(_row(way) for way in found)


def _ways(vae: Any, latents: Tensor) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    yield "diffusers, undivided", partial(_by_diffusers, vae, latents, tiled=False)
    yield "diffusers, tiled", partial(_by_diffusers, vae, latents, tiled=True)
    for name, memory, options in (
        ("exact", "auto", {}),
        ("exact, 512 MiB", "512MiB", {}),
        ("--fast-norms", "auto", {"fast_norms": True}),
        ("--fast-attention 32", "auto", {"fast_attention": 32}),
    ):
        ours = ts.load(vae, device="cpu", dtype="float32", convention="vae", **options)
        yield f"taesd-stream, {name}", partial(ours.decode, latents, memory=memory)
    models: tuple[Weights, ...] = decoder_weights(), "nano"
    for name, model in zip(_OTHERS, models, strict=True):
        tiny = ts.load(model, variant=name, device="cpu", dtype="float32", backend="torch")
        yield name, partial(tiny.decode, latents * _FACTOR)


def _by_diffusers(vae: Any, latents: Tensor, *, tiled: bool) -> Tensor:
    (vae.enable_tiling if tiled else vae.disable_tiling)()
    with torch.inference_mode():
        made: Tensor = vae.decode(latents).sample / 2 + 0.5
        return made.clamp(0, 1)


def _measured(name: str, decode: Callable[[], Tensor], whole: Tensor | None) -> tuple[_Way, Tensor]:
    gc.collect()
    release(torch.device("cpu"))  # the heap keeps what others had
    before = resident_bytes()
    forget_peak()
    start = time.perf_counter()
    made = decode()
    seconds, grown = time.perf_counter() - start, peak_bytes() - before
    if whole is None or name in _OTHERS:
        return _Way(name, seconds, grown), made
    off = made - whole
    means = F.adaptive_avg_pool2d(off, max(1, off.shape[-1] // (8 * _TILE)))
    return (
        _Way(
            name,
            seconds,
            grown,
            float(off.square().mean().sqrt()),
            float(off.abs().max()),
            float(means.abs().max()),
        ),
        made,
    )


def _row(way: _Way) -> str:
    row = f"| {way.name} | {way.seconds:.1f} s | {way.grown_bytes / 2**20:,.0f} MiB |"
    if way.error is None or way.worst is None or way.shift is None:
        return f"{row} | | |"
    return f"{row} {way.error:.2g} | {way.worst:.2g} | {way.shift:.2g} |"


def _show(pictures: dict[str, Tensor], path: Path) -> None:
    """Undivided, others' tiles and ours, and below them what these are off, enlarged."""
    whole, theirs, ours = list(pictures.values())[:3]
    differences = [(each - whole) * _SHOWN_GAIN + 0.5 for each in (whole, theirs, ours)]
    rows = [torch.cat(row, dim=3) for row in ([whole, theirs, ours], differences)]
    shown = F.interpolate(torch.cat(rows, dim=2), size=(2 * 320, 3 * 320), mode="area")
    bytes_ = (shown[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
    write_image(path, bytes_.contiguous().numpy())
