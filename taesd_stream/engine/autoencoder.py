"""A loaded model: what ``load`` returns and everybody holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from torch import Tensor

from taesd_stream.engine.blended import blended_tiles
from taesd_stream.engine.executor import Executor
from taesd_stream.engine.inputs import as_one_picture, as_pictures
from taesd_stream.engine.memory import default_budget, parse_bytes
from taesd_stream.engine.pixels import to_bytes, to_images
from taesd_stream.engine.planner import Budget, Overlap, Planner, Tile, TileOptions
from taesd_stream.engine.settings import Settings
from taesd_stream.errors import InputError
from taesd_stream.latents import check_finite
from taesd_stream.models.network import Network
from taesd_stream.models.spec import ModelSpec
from taesd_stream.models.variants import variant_named
from tiling import Block, Size, TilePlan

__all__ = ["AutoEncoder"]

OnTile = Callable[[int, int], None]


class AutoEncoder:
    """A decoder, an encoder, or both, that work tile by tile within a memory budget.

    Made by ``taesd_stream.load``. All methods take these keywords:

    - ``tile``: "auto" chooses the quickest that fits; None is undivided; N or (height, width) are
      latents. A picture is cut into equal tiles of at most that size.
    - ``overlap``: "exact" computes what the undivided network computes. N makes every tile read
      only N latents around itself, as a picture of its own, and cross-fades neighbours over 2 N
      latents: cheaper than exact only for networks that look at the whole plane.
    - ``memory``: the budget for what the work allocates besides its result, in bytes or as text
      such as "2GiB"; "auto" is half of what is free.

    Attributes:
        spec: The model in figures.
        settings: Device, dtype and backend.
    """

    def __init__(
        self, spec: ModelSpec, settings: Settings, encoder: Network | None, decoder: Network | None
    ) -> None:
        self.spec = spec
        self.settings = settings
        self._encoder = encoder
        self._decoder = decoder
        self._planners = {
            network: Planner(spec.name, network, settings)
            for network in (encoder, decoder)
            if network is not None
        }

    def __repr__(self) -> str:
        return f"AutoEncoder({self.spec.name}, {self.settings})"

    def decode(
        self,
        z: Tensor,
        *,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        on_tile: OnTile | None = None,
    ) -> Tensor:
        """Pictures from latents.

        Args:
            z: (N, C, h, w), or (N, T, C, h, w) for video; any float dtype, on any device.
            on_tile: Told after each tile how many pixels are done, and of how many.

        Returns:
            (N, 3, H, W) or (N, T, 3, H, W) in [0, 1], in the computing dtype, on the device of
            ``z``.

        Raises:
            InputError: Shape, dtype, tile, overlap or memory is wrong.
            NonFiniteError: A latent holds NaN or infinity.
            OutOfMemoryError: Not even the smallest tile fits.
        """
        flat = as_pictures(z, "latents", self.spec.latent_channels, self.spec.name)
        for index, latent in enumerate(flat):
            check_finite(latent, index)
        options = TileOptions(tile=tile, overlap=overlap, memory=memory)
        out = self._run(self._need("decoder"), flat, options, on_tile).clamp_(0, 1)
        return out if z.dim() == 4 else rearrange(out, "(n t) c h w -> n t c h w", n=z.shape[0])

    def encode(
        self,
        x: Tensor,
        *,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        on_tile: OnTile | None = None,
    ) -> Tensor:
        """Latents from pictures.

        Args:
            x: (N, 3, H, W), or (N, T, 3, H, W) for video, in [0, 1]; any float dtype. Where a side
                is no multiple of ``spec.spatial_scale``, the last latent stands for fewer pixels.
            on_tile: Told after each tile how many latents are done, and of how many.

        Returns:
            (N, C, h, w) or (N, T, C, h, w), in the computing dtype, on the device of ``x``.

        Raises:
            InputError: Shape, dtype, tile, overlap or memory is wrong.
            NonFiniteError: A picture holds NaN or infinity.
            OutOfMemoryError: Not even the smallest tile fits.
        """
        flat = as_pictures(x, "images", 3, self.spec.name)
        for index, image in enumerate(flat):
            check_finite(image, index, "image")
        out = self._run(
            self._need("encoder"),
            flat,
            TileOptions(tile=tile, overlap=overlap, memory=memory),
            on_tile,
        )
        return out if x.dim() == 4 else rearrange(out, "(n t) c h w -> n t c h w", n=x.shape[0])

    def stream(
        self,
        latents: Iterable[Tensor],
        *,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        on_tile: OnTile | None = None,
    ) -> Iterator[npt.NDArray[np.uint8]]:
        """Frames from latents, one by one, each as soon as its latent is there.

        Args:
            latents: (C, h, w) tensors, all of one size; nothing is read ahead.

        Returns:
            An iterator of (H, W, 3) RGB bytes. It raises what ``decode`` raises, and InputError for
            a latent whose size differs from the first one's.
        """
        return self._frames(
            self._need("decoder"),
            latents,
            TileOptions(tile=tile, overlap=overlap, memory=memory),
            on_tile,
        )

    def encode_stream(
        self,
        frames: Iterable[npt.NDArray[np.uint8]],
        *,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        on_tile: OnTile | None = None,
    ) -> Iterator[Tensor]:
        """Latents from frames, one by one, each as soon as its frame is there.

        Args:
            frames: (H, W, 3) RGB bytes; nothing is read ahead.

        Returns:
            An iterator of (C, h, w) tensors on the CPU, in the computing dtype. It raises what
            ``encode`` raises.
        """
        encoder = self._need("encoder")
        options = TileOptions(tile=tile, overlap=overlap, memory=memory)
        return (self._run(encoder, to_images(frame[None]), options, on_tile)[0] for frame in frames)

    def plan(
        self,
        shape: Iterable[int],
        *,
        action: str = "decode",
        frames: int | None = None,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
    ) -> TilePlan:
        """What ``decode`` (or ``encode``) will do with a tensor of this shape; print it.

        Args:
            shape: (N, C, h, w) or (N, T, C, h, w) of latents, or of images to encode; or (C, h, w)
                of those that come one by one, as to ``stream``.
            frames: How many come one by one, if that is known.

        Raises:
            InputError: No such shape, or nothing fits the budget.
        """
        if action not in ("decode", "encode"):
            raise InputError(f"action: expected decode or encode, found {action!r}")
        sizes = tuple(int(size) for size in shape)
        if not 3 <= len(sizes) <= 5 or min(sizes) < 1:
            raise InputError(
                f"shape: expected (C, h, w), (N, C, h, w) or (N, T, C, h, w), found {sizes}"
            )
        network = self._need(f"{action}r")
        if sizes[-3] != network.channels:
            raise InputError(
                f"shape: {self.spec.name} takes {network.channels} channels to {action}, found"
                f" {sizes[-3]} in {sizes}"
            )
        options = TileOptions(tile=tile, overlap=overlap, memory=memory)
        plane = Size(*sizes[-2:])
        if len(sizes) == 3:
            return replace(self._plan(network, plane, None, options), frames=frames)
        if frames is not None:
            raise InputError(
                f"frames: expected none with {sizes}, whose first axes tell; found {frames}"
            )
        return self._plan(network, plane, math.prod(sizes[:-3]), options)

    def _need(self, part: str) -> Network:
        network = {"decoder": self._decoder, "encoder": self._encoder}[part]
        if network is not None:
            return network
        if variant_named(self.spec.name).built_in:
            raise InputError(f"{self.spec.name} has no {part}, it only decodes; give another model")
        raise InputError(
            f"{self.spec.name} was loaded without its {part}; give the {part}'s file, or a file"
            " that holds both"
        )

    def _plan(
        self, network: Network, plane: Size, frames: int | None, options: TileOptions
    ) -> TilePlan:
        firm = options["memory"] != "auto"
        count = parse_bytes(options["memory"]) if firm else default_budget(self.settings.device)
        budget = Budget(count, firm)
        planner = self._planners[network]
        return planner.plan(plane, frames, options["tile"], options["overlap"], budget)

    def _run(
        self, network: Network, source: Tensor, options: TileOptions, on_tile: OnTile | None
    ) -> Tensor:
        """The network's output for a batch of pictures, not clamped."""
        plane = Size(*source.shape[2:])
        plan = self._plan(network, plane, source.shape[0], options)
        made = network.out_plane(plane)
        out = torch.zeros(
            (source.shape[0], network.out_channels, made.height, made.width),
            dtype=self.settings.dtype,
            device=source.device,
        )
        executor = Executor(network, self.settings, plan.tile, plan.batch)
        for block, tile in _watched(executor, plan, source, made, on_tile):
            frames, y, x = block.slices
            if plan.overlap == "exact":
                out[frames, :, y, x] = tile
            else:
                out[frames, :, y, x] += tile.to(out)
        return out

    def _frames(
        self,
        network: Network,
        latents: Iterable[Tensor],
        options: TileOptions,
        on_tile: OnTile | None,
    ) -> Iterator[npt.NDArray[np.uint8]]:
        """The work of ``stream``: one plan and one executor, made for the first latent."""
        plan: TilePlan | None = None
        first = Size(0, 0)
        for index, latent in enumerate(latents):
            one = as_one_picture(latent, index, self.spec)
            plane = Size(*one.shape[2:])
            if plan is None:
                first, plan = plane, self._plan(network, plane, None, options)
                executor = Executor(network, self.settings, plan.tile)
            elif plane != first:
                raise InputError(
                    f"latent {index} is {plane}, but the stream began with {first};"
                    " all latents of a video must have one size"
                )
            check_finite(latent, index)
            yield _frame(executor, plan, one, network.out_plane(plane), on_tile)


def _watched(
    executor: Executor, plan: TilePlan, source: Tensor, made: Size, on_tile: OnTile | None
) -> Iterator[tuple[Block, Tensor]]:
    """The tiles of the output; blended ones are weighted, and to be added up."""
    total = sum(y.size * x.size for y in plan.crops[0] for x in plan.crops[1])
    total *= source.shape[0] * made.area // plan.latents.area
    done = 0
    blended = isinstance(plan.overlap, int)
    tiles = blended_tiles(executor, plan, source, made) if blended else executor.run(source)
    for block, tile in tiles:
        yield block, tile
        done += block.volume
        if on_tile is not None:
            on_tile(done, total)


def _frame(
    executor: Executor, plan: TilePlan, one: Tensor, made: Size, on_tile: OnTile | None
) -> npt.NDArray[np.uint8]:
    """One picture as bytes; exact tiles become bytes at once, blended ones are summed before."""
    tiles = _watched(executor, plan, one, made, on_tile)
    if plan.overlap == "exact":
        frame = np.empty((made.height, made.width, 3), np.uint8)
        for block, tile in tiles:
            _, y, x = block.slices
            frame[y, x] = to_bytes(tile[0])
        return frame
    total = torch.zeros((3, made.height, made.width))
    for block, tile in tiles:
        _, y, x = block.slices
        total[:, y, x] += tile[0].to(total)
    return to_bytes(total)
