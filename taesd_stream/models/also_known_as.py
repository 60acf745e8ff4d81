"""The names by which users know a latent space: the diffusion models that share it.

Sources: the VAE that each pipeline of diffusers 0.42.1 names, with its figures; ComfyUI's latent
formats; SD.Next's table of families; the README files of taesd and taehv. A name that stands for
several models with different VAEs (Kandinsky 5, SkyReels) is not here by itself, so that it is
asked for and not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["ALSO_KNOWN_AS", "plain_name"]

ALSO_KNOWN_AS: Final[Mapping[str, tuple[str, ...]]] = {
    "taesd": (
        *("Stable Diffusion", "Stable Diffusion 1", "Stable Diffusion 1.5", "SD", "SD 1.5"),
        *("Stable Diffusion 2", "Stable Diffusion 2.1", "SD 2.1", "SD Turbo", "SD 1", "SD 2"),
        *("LCM", "PixArt-Alpha", "DiT", "Marigold", "InstructPix2Pix", "StreamDiffusion"),
    ),
    "taesdxl": (
        *("Stable Diffusion XL", "SDXL", "SDXL Turbo", "SDXL Lightning", "SSD-1B", "Pony"),
        *("Illustrious", "NoobAI", "Animagine", "Kolors", "PixArt-Sigma", "Hunyuan-DiT"),
        *("AuraFlow", "Lumina Next", "OmniGen"),
    ),
    "taesd3": ("Stable Diffusion 3", "Stable Diffusion 3.5", "SD 3", "SD 3.5"),
    "taef1": (
        *("FLUX", "FLUX.1", "FLUX.1 dev", "FLUX.1 schnell", "FLUX.1 Kontext", "FLUX Kontext"),
        *("FLUX.1 Fill", "FLUX.1 Krea", "FLUX Krea", "HiDream", "HiDream-I1", "Z-Image"),
        *("Z-Image Turbo", "Lumina 2", "Lumina-Image 2.0", "Chroma", "Chroma1-HD", "LongCat"),
        *("LongCat-Image", "OmniGen2", "F-Lite", "Ovis", "Ovis-Image", "VisualCloze"),
        *("Kandinsky 5 Image",),
    ),
    "taef2": (
        *("FLUX.2", "FLUX.2 dev", "FLUX.2 klein", "ERNIE-Image", "Lens", "Ideogram 4", "FIBO 2"),
    ),
    "taeqi2_1": ("Qwen-Image 2.1",),
    "taesana": ("Sana", "Sana 1.5", "Sana Sprint", "DC-AE f32c32"),
    "taesdv": (
        *("AnimateLCM", "AnimateDiff", "SVD", "Stable Video Diffusion", "AnimateLCM-SVD"),
        *("Latte", "ModelScope T2V", "Text2Video-Zero"),
    ),
    "taehv": (
        *("Hunyuan Video", "HunyuanVideo", "FramePack", "SkyReels V1", "Kandinsky 5 Video"),
        *("Hunyuan Video I2V",),
    ),
    "taew2_1": (
        *("Wan 2.1", "Wan 2.2 14B", "Wan 2.2 A14B", "Qwen-Image", "Qwen-Image-Edit", "Krea 2"),
        *("Cosmos", "Cosmos Predict2", "Cosmos Predict2.5", "Anima", "Chrono", "ChronoEdit"),
        *("Joy", "JoyImage", "SkyReels V2", "Helios", "Nucleus-Image"),
    ),
    "taeos1_3": ("Open-Sora 1.3",),
    "taecvx": ("CogVideoX", "CogVideoX 1.5", "CogVideoX-5B", "ConsisID"),
    "taew2_2": ("Wan 2.2 5B", "Wan 2.2 TI2V 5B", "FIBO"),
    "taehv1_5": ("Hunyuan Video 1.5", "HunyuanVideo-1.5"),
    "taeltx_2": ("LTX-2",),
    "taeltx2_3": ("LTX-2.3", "LTX-2.5"),
    "taeh3": ("MiniMax H3",),
    "taem1": ("Mochi", "Mochi 1"),
}
"""The models of each variant besides its own name."""


def plain_name(name: str) -> str:
    """A name without what its writers differ in: case, spaces, dots, dashes and underscores.

    >>> plain_name("Z-Image"), plain_name("wan_2.1")
    ('zimage', 'wan21')
    """
    return re.sub(r"[\s._-]", "", name.lower())
