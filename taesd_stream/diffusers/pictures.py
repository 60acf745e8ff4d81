"""One picture of whatever latents a running pipeline has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taesd_stream.diffusers.pipeline_latents import Returned, returned
from taesd_stream.diffusers.tiled_vae import TiledVAE
from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.options import ModelOptions
from taesd_stream.engine.pixels import to_array, to_bytes
from taesd_stream.engine.run import OnTile
from taesd_stream.errors import InputError
from taesd_stream.jobs.model_for_latents import Model, load_model
from taesd_stream.latents import open_latents
from taesd_stream.latents.packing import PACKED

__all__ = ["Picture", "Pictures", "Shown", "Sketch", "preview_model"]

Picture: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) RGB."""

Shown: TypeAlias = Literal["first", "middle", "last", "strip"]
"""Which latent of a video is shown; a strip is the first, the middle and the last side by side."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """What a picture is made of.

    Attributes:
        latents: Of the pipeline's layout, in the diffusion model's scale; any float dtype, on any
            device. Of a batch the first is shown.
        layout: Their axes, as ``open_latents`` takes them; None where the numbers tell.
        size: Height and width of the picture in pixels, as far as the pipeline tells.
    """

    latents: Tensor
    layout: str | None
    size: tuple[int, int] | None

    @classmethod
    def of(cls, latents: Tensor, pipe: Any, size: tuple[int, int] | None) -> Sketch:
        """That of the latents in a pipeline's loop."""
        layout = PACKED if latents.dim() == 3 else returned(latents, pipe).layout
        return cls(latents, layout, size)


def preview_model(model: Model | None, pipe: Any = None) -> AutoEncoder:
    """A model that may be loaded already; None is the one for a pipeline's latents.

    Raises:
        InputError: There is no such model, or the pipeline does not tell.
    """
    if model is None:
        model = Returned(None, pipe=pipe).model()
    if isinstance(model, TiledVAE):
        return model.ae
    # Other backends have threads of their own, which would be in the pipeline's way.
    return load_model(model, ModelOptions(backend="torch"))


class Pictures:
    """Makes pictures of a pipeline's latents: of the first of a batch, and of a moment of a video.

    Args:
        model: Decodes them.
        shown: Which latent of a video.
        size: Height and width in pixels of packed latents, where the pipeline does not tell.
        threads: The cores of a CPU to compute on; None is all.

    Raises:
        InputError: There is no such choice.
    """

    def __init__(
        self,
        model: AutoEncoder,
        shown: Shown = "middle",
        *,
        size: tuple[int, int] | None = None,
        threads: int | None = None,
    ) -> None:
        if shown not in get_args(Shown):
            raise InputError(
                f"shown: expected one of {', '.join(get_args(Shown))}, found {shown!r}"
            )
        self.model = model
        self._shown, self._size, self._threads = shown, size, threads

    def latents_in(self, sketch: Sketch) -> int:
        """How many latents are decoded for a picture: height times width, of each that is shown."""
        layout, one = sketch.layout or "", sketch.latents[:1]
        times = one.shape[layout.index("T")] if "T" in layout else 1
        plane = one.numel() // (self.model.spec.latent_channels * max(1, times))
        return plane * len(self._chosen(times))

    def of(
        self, sketch: Sketch, on_tile: OnTile | None = None, *, at_once: bool = False
    ) -> Picture:
        """The picture of latents as a pipeline's loop has them, packed or not.

        Args:
            sketch: The latents.
            on_tile: Told after each tile, as of ``decode``.
            at_once: Whether somebody waits for it: it gets all cores.

        Raises:
            LatentsError: They are none of the model's, or not finite.
        """
        spec, one = self.model.spec, sketch.latents[:1]
        size = self._size or sketch.size
        with open_latents(
            one, layout=sketch.layout, channels=spec.latent_channels, size=size
        ) as source:
            chosen = [source[index].to(one.device) for index in self._chosen(len(source))]
        # Each of them is a clip of its own, as short as the model makes a frame of.
        clips = torch.stack(chosen)[:, None].expand(-1, spec.timing.least, -1, -1, -1)
        threads = None if at_once else self._threads
        made = self.model.decode(clips, threads=threads, on_tile=on_tile)[:, -1]
        return np.concatenate([to_array(to_bytes(each)) for each in made], axis=1)

    def _chosen(self, count: int) -> list[int]:
        first, middle, last = 0, count // 2, count - 1
        strip = sorted({first, middle, last})
        return {"first": [first], "middle": [middle], "last": [last], "strip": strip}[self._shown]
