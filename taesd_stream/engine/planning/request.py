"""All that a plan depends on, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from taesd_stream.engine.budget import Budget
from taesd_stream.engine.cores import Cores
from taesd_stream.engine.options import Overlap, TileOptions, checked_seed, frames_of_chunk
from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.errors import InputError
from taesd_stream.models.network import Network
from tiling import Size, View

__all__ = ["Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of one network; the same request has the same plan.

    Attributes:
        plane: The input plane.
        workload: How pictures, or a video's steps, come.
        budget: The memory to stay under.
        tile: The largest tile in latents, or "auto".
        overlap: How far tiles reach into each other.
        view: Which part of the output is made, and where planes go around.
        shares: The ways to share the cores out.
        chunk: Frames that are made together, each of all of them; None where they are made apart.
        seed: Of noise.
    """

    plane: Size
    workload: Workload
    budget: Budget
    tile: Size | Literal["auto"]
    overlap: Overlap
    view: View
    shares: tuple[Cores, ...]
    chunk: int | None = None
    seed: int = 0

    @classmethod
    def of(
        cls,
        network: Network,
        plane: Size,
        workload: Workload,
        options: TileOptions,
        budget: Budget,
        *,
        shares: tuple[Cores, ...],
    ) -> Request:
        """The request of these options.

        Raises:
            InputError: One of them makes no sense.
        """
        latents = network.latent_plane(plane)
        if not latents.area:
            _, down = network.scale
            raise InputError(
                f"picture: expected at least {down}x{down} pixels, found {plane}; enlarge it first"
            )
        tile = options.tile_in(latents)
        overlap = _checked_overlap(network, options.overlap)
        view = _checked_view(network, options, plane, latents)
        chunk = _checked_chunk(network, options.chunk, workload)
        seed = checked_seed(network, options.seed)
        return cls(plane, workload, budget, tile, overlap, view, shares, chunk, seed)


def _checked_overlap(network: Network, overlap: Overlap) -> Overlap:
    if overlap == "exact":
        return overlap
    if not isinstance(overlap, int) or isinstance(overlap, bool) or overlap < 0:
        raise InputError(f"overlap: expected exact, or latents from 0 up, found {overlap!r}")
    halo = network.halo
    return "exact" if halo is not None and overlap >= halo else overlap


def _checked_view(network: Network, options: TileOptions, plane: Size, latents: Size) -> View:
    _, down = network.scale
    if down > 1 and options.crop is not None:
        raise InputError("crop: expected none for encoding; crop the picture, or the latents")
    view = options.view(network.out_plane(plane))
    if down > 1 and view.axes and latents.scale(down) != plane:
        raise InputError(
            f"wrap: expected a picture whose sides are multiples of {down} pixels, found"
            f" {plane}; crop it first"
        )
    return view


def _checked_chunk(network: Network, chunk: int | None, workload: Workload) -> int | None:
    frames = frames_of_chunk(network, chunk)
    if frames is None or workload.steps is None:
        return frames
    return max(1, min(frames, workload.steps))
