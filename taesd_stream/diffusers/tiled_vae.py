"""The engine in the place of a pipeline's VAE."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NoReturn

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from taesd_stream.diffusers.clips import Clips
from taesd_stream.diffusers.encoder_output import CertainDistribution, EncoderOutput
from taesd_stream.diffusers.vae_config import doublings, figures_of_patches, vae_config
from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.load import Weights, load
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.model_encoding import encoded
from taesd_stream.engine.moving import moved
from taesd_stream.engine.options import Overlap, Tile, TileOptions
from taesd_stream.engine.pixels import with_alpha
from taesd_stream.engine.shapes import as_pictures, check_channels
from taesd_stream.errors import InputError
from taesd_stream.models.latent_spaces import Convention, checked_convention

__all__ = ["TiledVAE"]

_log = logging.getLogger("taesd_stream")


class TiledVAE(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A tiny autoencoder that stands where a pipeline of diffusers has its VAE.

    ``pipe.vae = TiledVAE("taesd", memory="1GiB")``, or ``vae=`` of ``from_pretrained``. Pictures
    come and go in [-1, 1]; what is made has the dtype and the device of what is given. It moves
    with the pipeline; a model in OpenVINO stays where it is.

    A model that remembers, such as taesdv, goes on through the chunks in which pipelines such as
    AnimateDiff's decode the frames of one clip, so that they are as smooth as if decoded in one go.

    Args:
        model: What ``taesd_stream.load`` takes, or a loaded model.
        variant: As of ``load``; so are ``device``, ``dtype`` and ``backend``. None of them goes
            with a model that is loaded.
        tile: As of ``decode``; so are ``overlap``, ``memory`` and ``threads``.
        frames_per_clip: Where a pipeline hands over the frames of several clips as one batch
            (AnimateDiff's with ``num_videos_per_prompt``), how many each of them has, for models
            that remember; None is one clip.
        convention: The scale in which latents come and go: "model", as the diffusion model sees
            them, so that pipelines leave them as they are; or "vae", the full VAE's, with its
            figures in the config, for pipelines that take what is encoded as it comes: Stable Video
            Diffusion's.

    Raises:
        InputError: An argument makes no sense.

    >>> vae = TiledVAE("latent2rgb", device="cpu")
    >>> vae.decode(torch.zeros(1, 4, 2, 3), return_dict=False)[0].shape
    torch.Size([1, 3, 16, 24])
    """

    _supports_gradient_checkpointing = False

    def __init__(
        self,
        model: Weights | AutoEncoder,
        *,
        variant: str | None = None,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        backend: str = "auto",
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        threads: int | None = None,
        frames_per_clip: int | None = None,
        convention: Convention = "model",
    ) -> None:
        super().__init__()
        if not isinstance(model, AutoEncoder):
            model = load(model, variant=variant, device=device, dtype=dtype, backend=backend)
        elif (variant, device, dtype, backend) != (None, "auto", "auto", "auto"):
            raise InputError(
                "TiledVAE: expected a model that is loaded to come without variant, device, dtype"
                " and backend, which it has; give them to load"
            )
        if frames_per_clip is not None and frames_per_clip < 1:
            raise InputError(f"frames_per_clip: expected 1 or more, found {frames_per_clip}")
        self._options = TileOptions(tile, overlap, memory, None, None, threads)
        self._frames_per_clip = frames_per_clip
        self.convention = checked_convention(convention)
        self._has_told = False
        self._add_parts(model)
        self.register_to_config(**vae_config(model.spec, self.convention))
        self._use(model)

    @property
    def ae(self) -> AutoEncoder:
        """The loaded model."""
        return self._ae

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._ae.settings.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision in which it takes latents."""
        return self._ae.settings.tensor_dtype

    @property
    def temperal_downsample(self) -> list[bool]:
        """Whether time doubles with each doubling of the sides; the spelling is diffusers'."""
        spec = self._ae.spec
        in_time, in_space = doublings(spec.temporal_scale), doublings(spec.spatial_scale)
        return [index >= in_space - in_time for index in range(in_space)]

    @property
    def latents_mean(self) -> Tensor:
        """(C,), what LTX's pipelines add; the config has a list of the same for others."""
        return torch.tensor(self.config.latents_mean, device=self.device, dtype=self.dtype)

    @property
    def latents_std(self) -> Tensor:
        """(C,), what LTX's pipelines multiply by."""
        return torch.tensor(self.config.latents_std, device=self.device, dtype=self.dtype)

    @apply_forward_hook  # type: ignore[untyped-decorator]
    def decode(
        self,
        z: Tensor,
        timestep: Tensor | None = None,
        return_dict: bool = True,
        generator: torch.Generator | None = None,
        num_frames: int | None = None,
    ) -> DecoderOutput | tuple[Tensor]:
        """Pictures in [-1, 1] of latents, tile by tile.

        Args:
            z: (N, C, h, w), or (N, C, T, h, w) for video; any float dtype, on any device.
            timestep: What LTX's VAE adds noise by; nothing here.
            return_dict: Whether to return a ``DecoderOutput``, and not a tuple.
            generator: Nothing is drawn.
            num_frames: Of each clip, as SVD's pipeline says; the latents say so here.

        A clip that comes in several tensors has no gradient across them: one whose gradient is
        asked for is a clip of its own.

        Returns:
            ``sample``: (N, 3, H, W) or (N, 3, T', H, W).

        Raises:
            InputError: The shape is wrong, or nothing fits the budget.
        """
        made = self._decoded(z).mul_(2).sub_(1).to(z.device, z.dtype)
        return DecoderOutput(sample=made) if return_dict else (made,)

    @apply_forward_hook  # type: ignore[untyped-decorator]
    def encode(self, x: Tensor, return_dict: bool = True) -> EncoderOutput | tuple[Tensor]:
        """Latents of pictures in [-1, 1], tile by tile.

        Args:
            x: (N, 3, H, W), or (N, 3, T, H, W) for video; any float dtype, on any device.
            return_dict: Whether to return an ``EncoderOutput``, and not a tuple.

        Returns:
            ``latents``: (N, C, h, w) or (N, C, T', h, w); ``latent_dist`` has nothing else.

        Raises:
            InputError: The shape is wrong, or nothing fits the budget.
        """
        self._follow()
        is_video = x.dim() == 5
        images = x.transpose(1, 2) if is_video else x
        encoder = coder_of(self._ae, "encode")
        channels, name = encoder.network.channels, self._ae.spec.name
        checked = as_pictures(with_alpha(images.float(), channels), "images", channels, name)
        latents = encoded(encoder, checked / 2 + 0.5, self._options, self.convention)
        latents = latents.transpose(1, 2) if is_video else latents
        made = latents.to(x.device, x.dtype)
        if not return_dict:
            return (made,)
        return EncoderOutput(latents=made, latent_dist=CertainDistribution(made))

    def forward(self, sample: Tensor, num_frames: int | None = None) -> DecoderOutput:
        """Pictures encoded and decoded."""
        return self.decode(self.encode(sample).latents, num_frames=num_frames)

    def enable_tiling(self, *_: object, **__: object) -> None:
        """Do nothing, and say so once: tiles and batches are as large as memory allows."""
        if not self._has_told:
            self._has_told = True
            _log.warning(
                "TiledVAE: tiles and batches are as large as memory allows, and tiles are exact;"
                " tiling and slicing need not be enabled or disabled (tile= and memory= choose)"
            )

    disable_tiling = enable_slicing = disable_slicing = enable_tiling

    def save_pretrained(self, save_directory: str | Path, **_: object) -> NoReturn:
        """Refuse.

        Raises:
            InputError: Always.
        """
        raise InputError(
            f"TiledVAE: expected a part that a pipeline saves, found one that stands in for it; put"
            f" the pipeline's own VAE back before it is saved to '{save_directory}'"
        )

    def _add_parts(self, model: AutoEncoder) -> None:
        """What pipelines read beside the config, and a parameter that moves as they move this."""
        self.temporal_compression_ratio = model.spec.temporal_scale
        self.spatial_compression_ratio = model.spec.spatial_scale
        device, dtype = model.settings.device, model.settings.tensor_dtype
        # Accelerate asks parameters where a module is, and moves only these.
        where = torch.empty(0, device=device, dtype=dtype)
        self.where = nn.Parameter(where, requires_grad=False)
        mean, deviation = (
            torch.tensor(each) for each in figures_of_patches(model.spec, self.convention)
        )
        bn = nn.BatchNorm2d(len(mean), eps=0, affine=False)
        bn.running_mean, bn.running_var = mean, deviation**2
        self.bn = bn.to(device, dtype).eval()

    def _use(self, model: AutoEncoder) -> None:
        self._ae = model
        spec = model.spec
        takes_pieces = spec.can_decode and spec.latents_back and spec.temporal_scale == 1
        options, length = self._options, self._frames_per_clip
        self._clips = Clips(model, options, length, self.convention) if takes_pieces else None

    def _apply(self, fn: Any, recurse: bool = True) -> TiledVAE:
        # What .to(), .half(), .cuda() and accelerate's hooks have in common.
        super()._apply(fn, recurse)
        self._follow()
        return self

    def _follow(self) -> None:
        """Go where the parameter is: hooks that offload one by one move it, and tell nobody."""
        if self.where.is_meta:
            return
        found = moved(self._ae, self.where.device, self.where.dtype)
        if found is not self._ae:
            self._use(found)

    def _decoded(self, z: Tensor) -> Tensor:
        """(N, 3, H, W) or (N, 3, T', H, W) in [0, 1]."""
        self._follow()
        check_channels(z, 1, self._ae.spec)
        if z.dim() == 5:
            made = self._ae.decode(z.transpose(1, 2), **self._keywords())
            return made.transpose(1, 2)
        if z.dim() == 4 and self._clips is not None:
            if z.requires_grad and torch.is_grad_enabled():
                return self._ae.decode(z[None], **self._keywords())[0]
            return torch.cat(self._clips.decode(z))
        return self._ae.decode(z, **self._keywords())

    def _keywords(self) -> dict[str, Any]:
        options = self._options
        return {
            "tile": options.tile,
            "overlap": options.overlap,
            "memory": options.memory,
            "threads": options.threads,
            "convention": self.convention,
        }
