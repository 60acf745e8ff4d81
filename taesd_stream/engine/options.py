"""Options that travel together, each checked once: of tiles, and of a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch

from taesd_stream.engine.budget import Budget
from taesd_stream.errors import InputError
from taesd_stream.latents.opening import Latents
from taesd_stream.models.latent_spaces import Convention
from taesd_stream.models.network import Network
from taesd_stream.models.reduced import reduced
from taesd_stream.models.shortcuts import EXACT, Shortcuts
from taesd_stream.models.vae_figures import FullVAE, space_of_vae
from taesd_stream.models.variant import Variant
from tiling import Interval, Region, Size, View

__all__ = [
    "Crop",
    "ModelOptions",
    "Overlap",
    "Tile",
    "TileOptions",
    "Wrap",
    "checked_seed",
    "frames_of_chunk",
]

Overlap: TypeAlias = int | Literal["exact"]
Tile: TypeAlias = int | tuple[int, int] | Literal["auto"] | None
Crop: TypeAlias = tuple[int, int, int, int] | None
Wrap: TypeAlias = Literal["x", "y", "xy"] | None


# What diffusers' decode_latents takes where it is told nothing; the model was made for 14 frames.
_USUAL_CHUNK = 14


@dataclass(frozen=True, slots=True)
class TileOptions:
    """Options of a decode or an encode: its tiles, its budget, and which part of it is made.

    Attributes:
        tile: "auto", None (undivided), or latents per side of a tile as N or (height, width).
        overlap: "exact", or latents of blended overlap on each side of a tile.
        memory: The budget in bytes or as text such as "2GiB"; "auto" is read off the machine; or
            one that was read already.
        crop: The part to make, (x, y, width, height) in pixels of the picture; None is all.
        wrap: Borders where the picture goes around: "x" is left and right, "y" above and below.
        threads: The cores of a CPU to compute on; None is all that the process may use.
        chunk: Frames that a model makes together, where each of them is made of all of these; None
            is as many as its authors take.
        seed: Of the noise that some decoders make pictures of, and full VAEs' encoders draw latents
            with; None is 0 for those, and the mean for these.
    """

    tile: Tile = "auto"
    overlap: Overlap = "exact"
    memory: int | str | Budget = "auto"
    crop: Crop = None
    wrap: Wrap = None
    threads: int | None = None
    chunk: int | None = None
    seed: int | None = None

    def tile_in(self, latents: Size) -> Size | Literal["auto"]:
        """The largest tile in a plane of latents.

        Raises:
            InputError: It is no size of a tile.
        """
        tile = self.tile
        if tile == "auto":
            return "auto"
        if tile is None:
            return latents
        sides = (tile, tile) if isinstance(tile, int) else tile
        is_pair = not isinstance(tile, bool) and isinstance(sides, tuple) and len(sides) == 2
        if not is_pair or not all(isinstance(side, int) and side > 0 for side in sides):
            raise InputError(
                "tile: expected auto, None, or latents from 1 up as N or (height, width),"
                f" found {tile!r}"
            )
        return Size(min(sides[0], latents.height), min(sides[1], latents.width))

    def view(self, made: Size) -> View:
        """The part of an output plane that is wanted, and where the plane goes around.

        Raises:
            InputError: There is no such part, or no such border.
        """
        if self.wrap not in (None, "x", "y", "xy", "yx"):
            raise InputError(f"wrap: expected x, y or xy, found {self.wrap!r}")
        wrap = self.wrap or ""
        crop = None if self.crop is None else _region(self.crop, made)
        view = View(crop, wraps_y="y" in wrap, wraps_x="x" in wrap)
        if self.overlap != "exact" and view != View():
            raise InputError(
                f"overlap: expected exact tiles with crop or wrap, found {self.overlap!r}; leave"
                " one of them out"
            )
        return view


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Options of loading: the keywords of ``taesd_stream.load``, which explains them."""

    variant: str | None = None
    device: str | torch.device = "auto"
    dtype: str | torch.dtype = "auto"
    backend: str = "auto"
    time_upscale: bool = True
    space_upscale: bool = True
    calibration: Latents | None = None
    convention: Convention | None = None
    vae: FullVAE | None = None
    shortcuts: Shortcuts = EXACT

    def adapted(self, variant: Variant) -> Variant:
        """The variant without the upscaling that is not wanted, and with the figures of the VAE.

        Raises:
            InputError: It cannot do without, or there are no such figures.
        """
        made = reduced(variant, time_upscale=self.time_upscale, space_upscale=self.space_upscale)
        return made if self.vae is None else replace(made, space=space_of_vae(self.vae, made.space))


def frames_of_chunk(network: Network, chunk: int | None) -> int | None:
    """The frames that a network makes together, each of all of them; None if it makes each alone.

    Raises:
        InputError: It makes each alone and is asked for chunks, or there is no such chunk.
    """
    if not network.in_chunks:
        if chunk is not None:
            raise InputError(
                f"chunk: expected none, found {chunk!r}: this model makes no frame of a chunk of"
                " latents; leave it out"
            )
        return None
    if chunk is None:
        return _USUAL_CHUNK
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise InputError(f"chunk: expected frames from 1 up, found {chunk!r}")
    return chunk


def checked_seed(network: Network, seed: int | None) -> int:
    """The seed of the noise that a network makes something of; 0 where it is not said.

    Raises:
        InputError: There is no such seed, or the network makes nothing of noise.
    """
    if seed is None:
        return 0
    if type(seed) is not int or not 0 <= seed < 2**64:
        raise InputError(f"seed: expected a number from 0 to 2^64 - 1, found {seed!r}")
    if not network.draws:
        raise InputError(
            f"seed: expected none, found {seed}: this model makes nothing of noise; leave it out"
        )
    return seed


def _region(crop: object, made: Size) -> Region:
    parts = crop if isinstance(crop, tuple | list) else ()
    if len(parts) != 4 or not all(type(part) is int for part in parts):
        raise InputError(f"crop: expected x, y, width and height in pixels, found {crop!r}")
    x, y, width, height = parts
    if not (0 <= x < x + width <= made.width and 0 <= y < y + height <= made.height):
        raise InputError(
            f"crop: expected a part of a picture of {made} pixels, found {width}x{height} at"
            f" {x},{y}"
        )
    return Region(Interval(y, y + height), Interval(x, x + width))
