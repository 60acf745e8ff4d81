"""The spaces that latents are numbers of, and the two scales in which they are handed around.

Latents as a diffusion model sees them have about unit variance ("model"). Full VAEs decode another
scale ("vae"), for each channel of a space::

    z_vae = z_model * deviation + mean

A scaling factor f and a shift factor s, as VAEs' configurations have them, are a deviation of 1/f
and a mean of s. FLUX.2 normalises 2x2 patches of latents: its figures are by channel, row and
column of the patch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from taesd_stream.errors import InputError

__all__ = ["CONVENTIONS", "Convention", "LatentSpace", "checked_convention"]

Convention: TypeAlias = Literal["model", "vae"]
"""Latents as the diffusion model sees them, or as the full VAE's decode takes them."""

CONVENTIONS: Final[tuple[Convention, ...]] = get_args(Convention)

_DIFFUSERS: Final = (
    "https://github.com/huggingface/diffusers/blob/v0.42.1/src/diffusers/models/autoencoders/"
)
_COMFYUI: Final = "https://github.com/Comfy-Org/ComfyUI/blob/a125cd84/comfy/latent_formats.py"


def checked_convention(convention: object) -> Convention:
    """The convention that a user gave.

    Raises:
        InputError: There is none of that name.
    """
    for known in CONVENTIONS:
        if convention == known:
            return known
    raise InputError(
        f"convention: expected {' or '.join(CONVENTIONS)}, found {convention!r}; model is latents"
        " as the diffusion model sees them, vae as the full VAE's decode takes them"
    )


@dataclass(frozen=True, slots=True)
class LatentSpace:
    """A space of latents, and the figures between its two scales.

    Attributes:
        name: As errors call it.
        channels: Of a latent.
        mean: One for all channels, or for each, or for each and each place of a 2x2 patch.
        deviation: As many; both are empty where no source gives them.
        source: Where the figures are published.
    """

    name: str
    channels: int
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    source: str = ""

    @property
    def usual_deviation(self) -> float | None:
        """The deviation within a channel that "vae" latents have at large; None if unknown."""
        return sum(self.deviation) / len(self.deviation) if self.deviation else None

    def require_figures(self) -> None:
        """Refuse to convert latents of a space whose figures are not published.

        Raises:
            InputError: They are not.
        """
        if not self.deviation:
            raise InputError(
                f"convention: expected the figures between {self.name}'s latents and the full"
                f" VAE's, which are {self.source}; give that VAE with --vae PATH (vae= in Python)"
            )

    def converted(
        self, latents: Tensor, to: Convention, *, origin: tuple[int, int] = (0, 0)
    ) -> Tensor:
        """Convert latents of the other convention to this one.

        Args:
            latents: (..., C, h, w), of any floating dtype.
            to: The convention wanted; they have the other.
            origin: The row and column of their first latent in the plane.

        Returns:
            Fresh latents in float32, or in float64 where they have that.

        Raises:
            InputError: The figures of this space are not published.

        >>> sd1 = LatentSpace("sd1", 4, (0.0,), (1 / 0.18215,))
        >>> round(float(sd1.converted(torch.ones(4, 1, 1), "vae")[0, 0, 0]), 3)
        5.49
        """
        self.require_figures()
        dtype = torch.promote_types(latents.dtype, torch.float32)
        mean, deviation = (
            self._over_plane(figures, latents, origin).to(dtype)
            for figures in (self.mean, self.deviation)
        )
        wide = latents.to(dtype)
        return wide * deviation + mean if to == "vae" else (wide - mean) / deviation

    def _over_plane(
        self, figures: Sequence[float], latents: Tensor, origin: tuple[int, int]
    ) -> Tensor:
        """The figure of every element: (1, 1, 1), (C, 1, 1) or (C, h, w)."""
        made = torch.tensor(figures, dtype=torch.float64, device="cpu")
        if len(figures) <= self.channels:
            return made.view(-1, 1, 1).to(latents.device)
        side = 2
        patches = made.view(self.channels, side, side)
        rows, columns = (
            (torch.arange(size, device="cpu") + first) % side
            for size, first in zip(latents.shape[-2:], origin, strict=True)
        )
        return patches[:, rows[:, None], columns].to(latents.device)


def _scaled(name: str, channels: int, source: str, factor: float, shift: float = 0) -> LatentSpace:
    return LatentSpace(name, channels, (shift,), (1 / factor,), source)


@cache
def _statistics() -> Any:
    file = resources.files("taesd_stream.models").joinpath("latent_statistics.json")
    return json.loads(file.read_text())


def _with_statistics(name: str, channels: int, entry: str) -> LatentSpace:
    figures = _statistics()[entry]
    mean, deviation = tuple(figures["mean"]), tuple(figures["deviation"])
    return LatentSpace(name, channels, mean, deviation, figures["source"])


SD1: Final = _scaled("Stable Diffusion 1 and 2", 4, f"{_DIFFUSERS}autoencoder_kl.py", 0.18215)
SDXL: Final = _scaled("Stable Diffusion XL", 4, _COMFYUI, 0.13025)
SD3: Final = _scaled("Stable Diffusion 3", 16, _COMFYUI, 1.5305, 0.0609)
FLUX1: Final = _scaled("FLUX.1", 16, _COMFYUI, 0.3611, 0.1159)
FLUX2: Final = _with_statistics("FLUX.2", 32, "flux2")
SANA: Final = _scaled(
    "Sana",
    32,
    "https://huggingface.co/mit-han-lab/dc-ae-f32c32-sana-1.0-diffusers/blob/main/config.json",
    0.41407,
)
HUNYUAN_VIDEO: Final = _scaled(
    "Hunyuan Video", 16, f"{_DIFFUSERS}autoencoder_kl_hunyuan_video.py", 0.476986
)
HUNYUAN_VIDEO_1_5: Final = _scaled(
    "Hunyuan Video 1.5", 32, f"{_DIFFUSERS}autoencoder_kl_hunyuanvideo15.py", 1.03682
)
WAN2_1: Final = _with_statistics("Wan 2.1", 16, "wan2_1")
WAN2_2: Final = _with_statistics("Wan 2.2 5B", 48, "wan2_2")
COGVIDEOX: Final = _scaled(
    "CogVideoX 5B and 1.5 (2B has another factor, 1.15258426)",
    16,
    "https://huggingface.co/THUDM/CogVideoX1.5-5B/blob/main/vae/config.json",
    0.7,
)
OPEN_SORA1_3: Final = LatentSpace("Open-Sora 1.3", 16, source="in the code of its VAE")
MOCHI: Final = _with_statistics("Mochi 1", 12, "mochi")
LTX2: Final = LatentSpace("LTX-2", 128, source="in its VAE's own weights (per_channel_statistics)")
QWEN_IMAGE_2_1: Final = _with_statistics("Qwen-Image 2.1", 64, "qwen_image_2_1")
MINIMAX_H3: Final = _with_statistics("MiniMax H3", 24, "minimax_h3")
