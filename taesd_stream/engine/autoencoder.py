"""A loaded model: what ``load`` returns and everybody holds."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Literal, TypeAlias

from taesd_stream.engine.loaded_model import Action, coder_of
from taesd_stream.engine.model_decoding import DecodingModel
from taesd_stream.engine.model_encoding import EncodingModel
from taesd_stream.engine.options import Crop, Overlap, Tile, TileOptions, Wrap
from taesd_stream.engine.shapes import as_sizes
from taesd_stream.engine.speeds import timed
from taesd_stream.engine.tensors import tensor_workload
from taesd_stream.errors import InputError
from tiling import Size, TilePlan

__all__ = ["AutoEncoder"]

Planned: TypeAlias = Literal["decode", "encode", "decode backward", "encode backward"]

_HALVES: dict[str, Action] = {
    "decode": "decode",
    "encode": "encode",
    "decode backward": "decode",
    "encode backward": "encode",
}


class AutoEncoder(DecodingModel, EncodingModel):
    """A decoder, an encoder, or both, that work tile by tile within a memory budget.

    Made by ``taesd_stream.load``. All methods take these keywords:

    - ``tile``: "auto" chooses the quickest that fits; None is undivided; N or (height, width) are
      latents. A picture is cut into equal tiles of at most that size.
    - ``overlap``: "exact" computes what the undivided network computes. N makes every tile read
      only N latents around itself, as a picture of its own, and cross-fades neighbours over 2 N
      latents: cheaper than exact only for networks that look at the whole plane.
    - ``memory``: the budget for what the work allocates besides its result, in bytes or as text
      such as "2GiB"; "auto" is half of what is free.
    - ``crop``: (x, y, width, height) in pixels: only that part of every picture is made, and only
      what it depends on is computed. It equals the same part of the whole.
    - ``wrap``: "x", "y" or "xy": along these axes pictures go around, as panoramas and seamless
      textures do; where the network would read zeros past a border, it reads the opposite side.
    - ``threads``: the cores of a CPU to compute on, with PyTorch's own kernels; None is all that
      the process may use. Tiles are computed side by side, each on one core.
    - ``chunk``: frames that are made together by a model that makes each of all of these, as
      diffusers' ``decode_chunk_size``; None is 14. Chunks count from the video's first frame, and
      the last one may be shorter. Other models make frames in no chunks.
    - ``seed``: of noise, from 0 to 2^64 - 1. ``consistency`` makes pictures of it; None is 0. The
      encoders of full VAEs find a distribution of latents; None is its mean, and a seed draws from
      it. The noise at a place is the same in any tile, crop and batch. Other models take none.

    Attributes:
        spec: The model in figures.
        settings: Device, dtype and backend.
    """

    def __repr__(self) -> str:
        return f"AutoEncoder({self.spec.name}, {self.settings})"

    def plan(
        self,
        shape: Iterable[int],
        *,
        action: Planned = "decode",
        frames: int | None = None,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        crop: Crop = None,
        wrap: Wrap = None,
        threads: int | None = None,
        chunk: int | None = None,
        seed: int | None = None,
    ) -> TilePlan:
        """Plan what ``decode`` (or ``encode``, or a gradient) will do with this shape; print it.

        Args:
            shape: (N, C, h, w) or (N, T, C, h, w) of latents, or of images to encode; or (C, h, w)
                of those that come one by one, as to ``stream``.
            action: "decode" or "encode"; with " backward" after it, to bring a gradient of what was
                made back.
            frames: How many pictures are made (or encoded) one by one, if that is known.

        Raises:
            InputError: No such shape, or nothing fits the budget.
        """
        if action not in _HALVES:
            raise InputError(f"action: expected one of {', '.join(_HALVES)}, found {action!r}")
        half = _HALVES[action]
        coder = coder_of(self, half, seed)
        sizes = as_sizes(shape, coder.network.channels, f"{self.spec.name} to {half}")
        workload = tensor_workload(coder, sizes[:-3], half, frames)
        options = TileOptions(tile, overlap, memory, crop, wrap, threads, chunk, seed)
        plan = coder.plan(Size(*sizes[-2:]), workload, options, backward=action != half)
        one_by_one = None if coder.remembers else frames
        return timed(plan, prod(sizes[:-3]) if sizes[:-3] else one_by_one)
