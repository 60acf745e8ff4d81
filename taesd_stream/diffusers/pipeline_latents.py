"""Latents as pipelines of diffusers return them with ``output_type="latent"``, and their model.

What is told here of pipelines is read in diffusers 0.42.1, where each returns its output; classes
are known by their names, and with them those that derive from them, for to import all would take
long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from diffusers import AutoencoderTiny
from torch import Tensor, nn

from taesd_stream.diffusers.tiled_vae import TiledVAE
from taesd_stream.errors import InputError, LatentsError
from taesd_stream.jobs.model_for_latents import Model
from taesd_stream.latents.layouts import PICTURES
from taesd_stream.models.latent_spaces import Convention
from taesd_stream.models.variants_of_vae import channels_of_vae, choices, variants_of_vae

__all__ = ["Returned", "pictures_found", "returned"]

_LAYOUTS: Final = {
    # (B, T, C, h, w): cogvideo/pipeline_*.py, consisid, stable_video_diffusion.
    "CogVideoX": "NTCHW",
    "ConsisID": "NTCHW",
    "StableVideoDiffusion": "NTCHW",
    # (B, T, h, w, C): kandinsky5/pipeline_kandinsky*.py.
    "Kandinsky": "NTHWC",
}
"""The beginnings of classes' names whose latents of videos are not (B, C, T, h, w)."""

_DENORMALISED: Final = ("Flux2Klein", "LTX2", "MotifVideo")
"""Those that bring latents back to the full VAE's scale before they are returned."""

_RGB: Final = 3

_VIDEO: Final = {"taesd": "taesdv"}
"""Of variants for the same latents the one that is smooth in time, where it is another."""


@dataclass(frozen=True, slots=True)
class Returned:
    """Something that a pipeline has returned, with what the pipeline's class tells of it.

    Attributes:
        latents: The latents; or what else ``open_latents`` takes.
        layout: Their axes; None where they are to be told by the numbers.
        convention: Their scale.
        vae: The VAE whose figures lead from "vae" to "model"; None where there is none.
        pipe: The pipeline, if it is at hand.
    """

    latents: Any
    layout: str | None = None
    convention: Convention = "model"
    vae: nn.Module | None = None
    pipe: Any = None

    @property
    def size(self) -> tuple[int, ...]:
        """Of the axes; empty for what is no tensor and no array."""
        return tuple(self.latents.shape) if isinstance(self.latents, Tensor | np.ndarray) else ()

    @property
    def is_video(self) -> bool:
        """Whether these are clips, as far as the axes tell."""
        return len(self.size) == 5

    @property
    def may_be_rgb(self) -> bool:
        """Whether the axes are those of pictures, as ``output_type="pt"`` has them."""
        axis = {4: 1, 5: 2}.get(len(self.size))
        return axis is not None and self.size[axis] == _RGB

    def padding(self) -> int:
        """The latents in front of a clip that its pipeline would leave out: CogVideoX 1.5's.

        They fill the last patch in time, which only the number of frames asked for tells: it is
        taken to be the transformer's own, where so many latents are there.
        """
        config = getattr(getattr(self.pipe, "transformer", None), "config", {})
        patch = config.get("patch_size_t")
        if patch is None or not self.is_video or not _is_one(self.pipe, "CogVideoX"):
            return 0
        scale = self.pipe.vae_scale_factor_temporal
        usual = (config["sample_frames"] - 1) // scale + 1
        padding = -usual % patch
        return padding if self.size[1] == usual + padding else 0

    def model(self) -> Model:
        """The model that fits: the pipeline's VAE if it is tiny, or by its figures.

        Raises:
            InputError: They tell no model.
        """
        if self.pipe is None:
            raise InputError(
                "model: expected pipe= or model=, since latents do not tell whose they are; found"
                " neither"
            )
        vae = getattr(self.pipe, "vae", None)
        if isinstance(vae, TiledVAE):
            return vae.ae
        if isinstance(vae, AutoencoderTiny):
            tiny: nn.Module = vae
            return tiny
        found = variants_of_vae(vae)
        if not found:
            channels = channels_of_vae(vae)
            fitting = "" if channels is None else f"; for {channels} channels: {choices(channels)}"
            raise InputError(
                f"model: expected a pipeline whose VAE's figures are a known model's, found"
                f" {type(vae).__name__} in {type(self.pipe).__name__}; give model={fitting}"
            )
        name = found[0].name
        return _VIDEO.get(name, name) if self.is_video else name


def returned(output: object, pipe: object = None) -> Returned:
    """What a pipeline has returned.

    Args:
        output: All that it returned, or the latents in it.
        pipe: The pipeline; without it, the class of its output tells the axes.

    Raises:
        LatentsError: It holds pictures and no latents.
    """
    latents = _content(output)
    if not isinstance(latents, Tensor):
        return Returned(latents, pipe=pipe)
    source = output if pipe is None else pipe
    layout, vae = _layout(source, latents.dim()), getattr(pipe, "vae", None)
    is_kleins = latents.dim() == 4 and _is_one(output, "Flux2PipelineOutput")
    is_denormalised = is_kleins or _is_one(source, *_DENORMALISED)
    if isinstance(vae, TiledVAE):  # By its figures; mostly they are such that nothing changes.
        return Returned(latents, layout, vae.convention if is_denormalised else "model", None, pipe)
    if not is_denormalised:
        return Returned(latents, layout, "model", None, pipe)
    return Returned(latents, layout, "vae", vae if isinstance(vae, nn.Module) else None, pipe)


def _content(output: object) -> object:
    """The frames or images of a pipeline's output; anything else as it is."""
    while isinstance(output, tuple | list) and output and not _is_pictures(output):
        if isinstance(output, list) and len(output) > 1:
            break
        output = output[0]
    if isinstance(output, Mapping):
        found = (output.get(name) for name in ("frames", "images"))
        output = next((each for each in found if each is not None), output)
    if _is_pictures(output):
        raise pictures_found(type(output).__name__)
    return output


def _is_pictures(content: object) -> bool:
    """Whether these are pictures of PIL, in lists or not, or an array with RGB at the end."""
    while isinstance(content, list) and content:
        content = content[0]
    if isinstance(content, np.ndarray):
        return content.ndim in (4, 5) and content.shape[-1] == _RGB
    return type(content).__module__.startswith("PIL.")


def pictures_found(found: str) -> LatentsError:
    """The error of pictures where latents are expected."""
    return LatentsError(
        f"latents: expected what a pipeline returns with output_type='latent', found pictures"
        f" ({found}); call it with output_type='latent'"
    )


def _layout(source: object, axes: int) -> str | None:
    """The layout of so many axes that a pipeline, or what it returned, has; None if unknown."""
    if axes not in (4, 5) or (not _is_one(source, *_LAYOUTS) and not _is_of_diffusers(source)):
        return None
    if axes == 4:
        return PICTURES
    return next((layout for name, layout in _LAYOUTS.items() if _is_one(source, name)), "NCTHW")


def _is_of_diffusers(thing: object) -> bool:
    """Whether its class is one of diffusers' pipelines or their outputs, or derives from one."""
    homes = (each.__module__ for each in type(thing).__mro__)
    base = "diffusers.pipelines.pipeline_utils"  # Everybody's own pipelines derive from it, too.
    return any(home.startswith("diffusers.pipelines.") and home != base for home in homes)


def _is_one(thing: object, *beginnings: str) -> bool:
    """Whether an object's class, or one that it derives from, has a name that begins so."""
    return any(each.__name__.startswith(beginnings) for each in type(thing).__mro__)
