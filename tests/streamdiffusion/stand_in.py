"""A pipeline that calls its VAE, its UNet and its scheduler as StreamDiffusion's does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["PlainVAE", "StreamDiffusion"]


class PlainVAE(nn.Module):
    """A VAE of one convolution each way, scaled as Stable Diffusion's."""

    def __init__(self) -> None:
        super().__init__()
        self.config = _Config(scaling_factor=0.18215, latent_channels=4)
        self.down, self.up = nn.Conv2d(3, 4, 8, 8), nn.ConvTranspose2d(4, 3, 8, 8)
        self.dtype = torch.float32

    def encode(self, x: Tensor) -> Any:
        return SimpleNamespace(latents=self.down(x) / self.config.scaling_factor)

    def decode(self, z: Tensor, return_dict: bool = True) -> tuple[Tensor]:
        return (self.up(z),)


class _Config(dict[str, Any]):
    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class StreamDiffusion:
    """One step, whose UNet leaves latents as they are."""

    def __init__(self, frames: int = 1) -> None:
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.vae: Any = PlainVAE()
        self.unet = SimpleNamespace(config=SimpleNamespace(in_channels=4))
        self.pipe = SimpleNamespace(vae=self.vae, vae_scale_factor=8)
        self.frames = frames
        self.latents = torch.randn(9, 4, 2, 3, generator=torch.Generator().manual_seed(0))
        self.done = 0

    def encode_image(self, image_tensors: Tensor) -> Tensor:
        x = image_tensors.to(device=self.device, dtype=self.vae.dtype)
        return _retrieved(self.vae.encode(x)) * self.vae.config.scaling_factor

    def decode_image(self, x_0_pred_out: Tensor) -> Tensor:
        factor = self.vae.config.scaling_factor
        made: Tensor = self.vae.decode(x_0_pred_out / factor, return_dict=False)[0]
        return made

    @torch.no_grad()
    def __call__(self, x: Tensor | None = None) -> Tensor:
        """The next frames, of a picture or else of the next latents."""
        if x is not None:
            return self.decode_image(self.encode_image(x)).detach().clone()
        latents = self.latents[self.done : self.done + self.frames]
        self.done += self.frames
        return self.decode_image(latents).detach().clone()


def _retrieved(encoded: Any) -> Tensor:
    if hasattr(encoded, "latent_dist"):
        made: Tensor = encoded.latent_dist.sample(None)
        return made
    latents: Tensor = encoded.latents
    return latents
