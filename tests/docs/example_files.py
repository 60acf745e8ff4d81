"""Small files that mean nothing, under the names that examples give them."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from taesd_stream.models import variant_named
from video import open_writer, write_image

__all__ = [
    "both_halves",
    "latents",
    "weights",
    "write_generators_latents",
    "write_latents",
    "write_pictures",
]

_SIZE = (2, 2)


def latents(*shape: int) -> Tensor:
    """Latents in slow motion, all numbers different: (..., T, C, h, w) or (C, h, w)."""
    count = math.prod(shape)
    return torch.sin(torch.arange(count).reshape(shape) * 0.37)


def write_latents(folder: Path) -> None:
    """All files of latents."""
    torch.save(latents(11, 4, *_SIZE), folder / "frames.pt")
    torch.save(latents(16, 16, *_SIZE), folder / "wan.pth")
    torch.save(latents(3, 4, *_SIZE) / 0.18215, folder / "unscaled.pt")
    for name, shape in {
        "frames": (5, 32, *_SIZE),
        "frames_16": (3, 16, *_SIZE),
        "clips": (2, 4, 4, *_SIZE),
    }.items():
        save_file({"latents": latents(*shape)}, folder / f"{name}.safetensors")
    for name in ("huge", "panorama"):
        np.save(folder / f"{name}.npy", latents(4, 10, 12).numpy())
    for row in range(2):
        for column in range(2):
            np.save(folder / "tiles" / f"{row}_{column}.npy", latents(4, 3, 4).numpy())


def write_generators_latents(folder: Path) -> None:
    """Latents in the forms in which diffusers' pipelines and other tools hand them out."""
    for name, shape in {
        "sd": (2, 4, 2, 2),
        "sdxl": (2, 4, 2, 2),
        "sd3": (2, 16, 2, 2),
        "flux": (1, 4, 64),
        "flux_wide": (1, 24, 64),
        "z_image": (1, 16, 2, 2),
        "flux2": (1, 4, 128),
        "ernie": (1, 128, 2, 2),
        "qwen": (1, 4, 64),
        "fibo": (1, 4, 48),
        "sana": (1, 32, 2, 2),
        "animatediff": (1, 4, 3, 2, 2),
        "svd": (1, 3, 4, 2, 2),
        "wan": (1, 16, 2, 2, 2),
        "wan_5b": (1, 48, 2, 2, 2),
        "hunyuan": (1, 16, 2, 2, 2),
        "kandinsky": (1, 2, 5, 6, 16),
        "hunyuan_1_5": (1, 32, 2, 2, 2),
        "cogvideox": (1, 3, 16, 2, 2),
        "cogvideox_1_5": (1, 4, 16, 2, 2),
        "mochi": (1, 12, 2, 2, 2),
        "ltx2": (1, 128, 2, 2, 2),
        "ltx2_packed": (1, 8, 128),
        "h3": (1, 24, 2, 2, 2),
    }.items():
        # Slow motion would be taken for planes, where features are packed.
        numbers = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        torch.save(numbers, folder / f"{name}.pt")
    torch.save(2 * latents(1, 32, 2, 2), folder / "klein.pt")
    figures = {"latents_mean": torch.zeros(128), "latents_std": torch.ones(128)}
    save_file(figures, folder / "ltx2_vae.safetensors")
    unscaled = latents(1, 4, 2, 2) / 0.18215
    marker = {"latent_format_version_0": torch.tensor([])}
    save_file({"latent_tensor": unscaled, **marker}, folder / "ComfyUI_00001_.latent")
    musubi = {"latents_2x2x2_float32": torch.randn(16, 2, 2, 2)}
    save_file(musubi, folder / "musubi_wan.safetensors")
    for family, channels in (("sdxl", 4), ("flux", 16)):
        cached = {
            "latents_2x2": latents(channels, 2, 2).numpy(),
            "original_size_2x2": np.array([16, 16]),
            "crop_ltrb_2x2": np.array([0, 0, 16, 16]),
        }
        np.savez(folder / f"kohya_0512x0512_{family}.npz", **cached)


def write_pictures(folder: Path) -> None:
    """A video with sound, and its pictures."""
    rate, seconds = 8000, 1
    with wave.open(str(folder / "tone.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"\0\0" * rate * seconds)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3), np.uint8)
    with open_writer(
        folder / "in.mp4", width=64, height=48, rate=24, audio=folder / "tone.wav"
    ) as video:
        for number, picture in enumerate(pictures):
            video.write(picture)
            write_image(folder / "in" / f"{number:05d}.png", picture)


def weights(name: str, half: str) -> dict[str, Tensor]:
    """Random weights of a variant's shapes: of its "encoder" or "decoder"."""
    variant = variant_named(name)
    make = variant.encoder if half == "encoder" else variant.decoder
    assert make is not None
    generator = torch.Generator().manual_seed(0)
    shapes = make().shapes()
    return {name: torch.randn(shape, generator=generator) / 30 for name, shape in shapes.items()}


def both_halves(name: str) -> dict[str, Tensor]:
    """Both, as they are in one file."""
    return {
        f"{half}.{key}": tensor
        for half in ("encoder", "decoder")
        for key, tensor in weights(name, half).items()
    }
