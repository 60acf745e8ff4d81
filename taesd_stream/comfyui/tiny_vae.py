"""A VAE for ComfyUI's own nodes, which decodes and encodes in exact tiles."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import torch
from torch import Tensor

from taesd_stream.comfyui.host import Progress, make_room, output_device
from taesd_stream.comfyui.samples import LatentForm
from taesd_stream.engine import AutoEncoder
from taesd_stream.errors import InputError

__all__ = ["TinyVAE"]

_log = logging.getLogger("taesd_stream")


class TinyVAE:
    """A tiny autoencoder as ComfyUI has VAEs.

    It has the methods and the figures of ``comfy.sd.VAE`` that nodes use, under their names there.
    Pictures are (B, H, W, C) in [0, 1], or (B, T, H, W, C) of video. A model that remembers, such
    as taesdv, takes a batch for the frames of one clip.

    Args:
        ae: The loaded model.
        memory: What decoding may take, as ``ae.decode`` has it.

    Attributes:
        ae: The loaded model.
        memory: What decoding may take.
        form: The form of its latents in ComfyUI.
        latent_channels: C of samples.
        latent_dim: Axes of a sample without its channels: 3 where one is time.
        output_channels: Of pictures.
        upscale_ratio: Pixels per sample along a side; of video, also frames of a number of samples.
        downscale_ratio: The same for encoding.
    """

    not_video = False
    crop_input = True
    handles_tiling = True
    extra_1d_channel = None

    def __init__(self, ae: AutoEncoder, memory: int | str = "auto") -> None:
        self.ae, self.memory = ae, memory
        spec = ae.spec
        self.form = LatentForm(spec)
        self.latent_channels = self.form.channels
        self.latent_dim = 3 if self.form.is_video else 2
        self.output_channels = spec.image_channels
        self.device, self.vae_dtype = ae.settings.device, ae.settings.tensor_dtype
        self.output_device = output_device()
        scale, timing = self.form.spatial_scale, (spec.timing, spec.encode_timing)
        self.upscale_ratio: Any = scale
        self.downscale_ratio: Any = scale
        self.upscale_index_formula = self.downscale_index_formula = None
        if self.form.is_video:
            self.upscale_ratio = (timing[0].frames, scale, scale)
            self.downscale_ratio = (timing[1].latents, scale, scale)
            self.upscale_index_formula = (spec.temporal_scale, scale, scale)
            self.downscale_index_formula = self.upscale_index_formula

    def decode(
        self, samples_in: Tensor, vae_options: object = None, *, memory: int | str | None = None
    ) -> Tensor:
        """Pictures of samples.

        Args:
            samples_in: (B, C, h, w) or (B, C, T, h, w).
            vae_options: Options of other VAEs; nothing here.
            memory: What decoding may take; None is what the VAE was loaded with.

        Returns:
            (B, H, W, C), of a model that remembers (T, H, W, C); or (B, T, H, W, C).

        Raises:
            InputError: Axes or channels are wrong, or nothing fits the budget.
        """
        budget = self.memory if memory is None else memory
        latents = self.form.to_engine(samples_in)
        make_room(self.device, budget)
        made = self.ae.decode(
            latents, convention=self.form.convention, memory=budget, on_tile=Progress()
        )
        if made.dim() == 5 and samples_in.dim() == 4:
            made = made[0]
        return made.movedim(-3, -1).to(self.output_device, torch.float32)

    def decode_tiled(
        self,
        samples: Tensor,
        *,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
    ) -> Tensor:
        """The same as ``decode``: tiles are exact, and as large as memory allows."""
        _log.info("tiles and their overlap are chosen by memory: what was asked for is not needed")
        return self.decode(samples)

    def encode(self, pixel_samples: Tensor, not_video: bool | None = None) -> Tensor:
        """Samples of pictures; sides are cropped to whole samples, as ComfyUI crops them.

        Args:
            pixel_samples: (B, H, W, C), which a model of video takes for the frames of one; or (B,
                T, H, W, C).
            not_video: Whether the pictures are no video.

        Returns:
            (B, C, h, w), or (B, C, T, h, w).

        Raises:
            InputError: The model has no encoder, or nothing fits the budget.
        """
        pixels = self._cropped(pixel_samples)[..., : self.output_channels]
        images = pixels.movedim(-1, -3).float().clamp(0, 1)
        if self.form.is_video and images.dim() == 4:
            images = images[:, None] if not_video else images[None]
        make_room(self.device, self.memory)
        made = self.ae.encode(
            images, convention=self.form.convention, memory=self.memory, on_tile=Progress()
        )
        return self.form.from_engine(made).to(self.output_device, torch.float32)

    def encode_tiled(
        self,
        pixel_samples: Tensor,
        *,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
        not_video: bool | None = None,
    ) -> Tensor:
        """The same as ``encode``."""
        return self.encode(pixel_samples, not_video)

    def spacial_compression_decode(self) -> int:
        """Pixels per sample along a side; the spelling is ComfyUI's."""
        return self.form.spatial_scale

    def spacial_compression_encode(self) -> int:
        """The same."""
        return self.form.spatial_scale

    def temporal_compression_decode(self) -> int | None:
        """Frames per sample along time; None for pictures."""
        return self.ae.spec.temporal_scale if self.form.is_video else None

    def throw_exception_if_invalid(self) -> None:
        """Do nothing: what was loaded is whole."""

    def is_dynamic(self) -> bool:
        """Whether ComfyUI moves its weights piece by piece."""
        return False

    def get_sd(self) -> NoReturn:
        """Refuse: it is no full VAE to be saved.

        Raises:
            InputError: Always.
        """
        raise InputError(
            f"vae: expected a full VAE to save, found {self.ae.spec.name}, whose file is there"
            " already"
        )

    def _cropped(self, pixels: Tensor) -> Tensor:
        """The middle of pictures, of whole samples."""
        scale = self.form.spatial_scale
        first = pixels.dim() - 3
        for axis in (first, first + 1):
            side = pixels.shape[axis]
            pixels = pixels.narrow(axis, side % scale // 2, side - side % scale)
        return pixels
