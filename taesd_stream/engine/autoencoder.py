"""A loaded model: what ``load`` returns and everybody holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import chain
from typing import Unpack

import torch
from torch import Tensor

from taesd_stream.engine.coder import Coder, OnTile
from taesd_stream.engine.options import TileKeywords, TileOptions
from taesd_stream.engine.pixels import to_array
from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.engine.running.planes import LatentPlane, PixelPlane, ReadPixels
from taesd_stream.engine.settings import Settings
from taesd_stream.engine.shapes import as_pictures, as_sizes, checked_length
from taesd_stream.engine.streams.decode_stream import DecodeStream, Frame
from taesd_stream.engine.streams.encode_stream import EncodeStream
from taesd_stream.engine.streams.frame_windows import Window, check_enough, windows_of
from taesd_stream.engine.streams.picture_run import PictureRun
from taesd_stream.engine.tensors import (
    as_batch,
    decode_clips,
    encode_clips,
    run_pictures,
    tensor_workload,
)
from taesd_stream.errors import InputError
from taesd_stream.latents import LatentSource, check_finite
from taesd_stream.models.spec import ModelSpec
from taesd_stream.models.stream_state import StreamState
from taesd_stream.models.variants import variant_named
from tiling import Size, TilePlan

__all__ = ["AutoEncoder"]


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
    - ``crop``: (x, y, width, height) in pixels: only that part of every picture is made, and only
      what it depends on is computed. It equals the same part of the whole.
    - ``wrap``: "x", "y" or "xy": along these axes pictures go around, as panoramas and seamless
      textures do; where the network would read zeros past a border, it reads the opposite side.

    Attributes:
        spec: The model in figures.
        settings: Device, dtype and backend.
    """

    def __init__(
        self, spec: ModelSpec, settings: Settings, encoder: Coder | None, decoder: Coder | None
    ) -> None:
        self.spec = spec
        self.settings = settings
        self._encoder, self._decoder = encoder, decoder

    def __repr__(self) -> str:
        return f"AutoEncoder({self.spec.name}, {self.settings})"

    def decode(
        self,
        z: Tensor,
        *,
        on_tile: OnTile | None = None,
        **options: Unpack[TileKeywords],
    ) -> Tensor:
        """Pictures from latents.

        Args:
            z: (N, C, h, w), or (N, T, C, h, w) for video; any float dtype, on any device.
            on_tile: Told after each tile how many pixels are done, and of how many.

        Returns:
            (N, 3, H, W) or (N, T, 3, H, W) in [0, 1], on the device of ``z``, in the computing
            dtype (in float32 with openvino).

        Raises:
            InputError: Shape, dtype, tile, overlap or memory is wrong.
            NonFiniteError: A latent holds NaN or infinity.
            OutOfMemoryError: Not even the smallest tile fits.
        """
        checked = as_pictures(z, "latents", self.spec.latent_channels, self.spec.name)
        decoder = self._need("decoder")
        for index, latent in enumerate(checked.flatten(0, -4)):
            check_finite(latent, index)
        wanted = TileOptions(**options)
        if not decoder.network.stateful:
            out = run_pictures(decoder, checked.flatten(0, -4), wanted, on_tile)
            return out.clamp_(0, 1).view(*checked.shape[:-3], *out.shape[1:])
        timing = self.spec.timing
        clips = checked if checked.dim() == 5 else checked[:, None]
        check_enough(self.spec, clips.shape[1])
        decoded = decode_clips(decoder, timing, clips, wanted, on_tile)
        made = [clip.clamp_(0, 1) for clip in decoded]
        return torch.cat(made) if checked.dim() == 4 else as_batch(made)

    def encode(
        self,
        x: Tensor,
        *,
        on_tile: OnTile | None = None,
        **options: Unpack[TileKeywords],
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
        checked = as_pictures(x, "images", 3, self.spec.name)
        encoder = self._need("encoder")
        for index, image in enumerate(checked.flatten(0, -4)):
            check_finite(image, index, "image")
        wanted = TileOptions(**options)
        if not encoder.network.stateful:
            out = run_pictures(encoder, checked.flatten(0, -4), wanted, on_tile)
            return out.view(*checked.shape[:-3], *out.shape[1:])
        timing = self.spec.encode_timing
        if checked.dim() == 4 and timing.latents(1) != 1:
            raise InputError(
                f"images: expected a video, (N, T, 3, H, W), since {self.spec.name} makes"
                f" {timing.latents(1)} latents of one picture; found {tuple(x.shape)}"
            )
        clips = checked if checked.dim() == 5 else checked[:, None]
        made = encode_clips(encoder, timing, clips, wanted, on_tile)
        return torch.cat(made) if checked.dim() == 4 else as_batch(made)

    def stream(
        self,
        latents: Iterable[Tensor],
        *,
        frames: slice | None = None,
        ahead: int = 1,
        on_tile: OnTile | None = None,
        **options: Unpack[TileKeywords],
    ) -> Iterator[Frame]:
        """Frames from the latents of one video, one by one, each as soon as it is known.

        Args:
            latents: (C, h, w) tensors, all of one size. A tensor, a list, or what ``open_latents``
                returned is read where it is needed; an iterator is read to the end of ``frames``.
            frames: Which frames, such as ``slice(100, 110)``; None is all. Decoding begins only as
                far back as the model remembers.
            ahead: The most latents read before the frames of the first of them go out. More than 1
                is for files: it lets a GPU compute several at a time.

        Returns:
            An iterator of (H, W, 3) RGB bytes. It raises what ``decode`` raises, and InputError for
            a latent whose size differs from the first one's.
        """
        images = self.stream_tensors(
            latents, frames=frames, ahead=ahead,
            on_tile=on_tile, **options,
        )  # fmt: skip
        return map(to_array, images)

    def stream_tensors(
        self,
        latents: Iterable[Tensor],
        *,
        frames: slice | None = None,
        ahead: int = 1,
        on_tile: OnTile | None = None,
        **options: Unpack[TileKeywords],
    ) -> Iterator[Tensor]:
        """``stream``, as (H, W, 3) tensors of bytes on the computing device.

        On a GPU they come before they are computed: what takes them may launch more work at once.
        """
        decoder = self._need("decoder")
        wanted = TileOptions(**options)
        windows = windows_of(decoder.network, self.spec, latents, frames)
        return chain.from_iterable(
            _decoded(
                DecodeStream(decoder, self.spec, wanted, window, ahead=ahead, on_tile=on_tile),
                window.read(latents, ahead),
            )
            for window in windows
        )

    def open_stream(
        self,
        *,
        length: int | None = None,
        state: StreamState | None = None,
        on_tile: OnTile | None = None,
        **options: Unpack[TileKeywords],
    ) -> DecodeStream:
        """A video to be decoded by ``push``, for callers without an iterator.

        Args:
            length: How many latents will come in all, where that is known.
            state: What another stream of this model saved; this one goes on from there.

        Raises:
            InputError: The state is another model's, or of a video of another length.

        >>> import taesd_stream as ts
        >>> live = ts.load("latent2rgb", device="cpu").open_stream()
        >>> [frame.shape for frame in live.push(torch.zeros(4, 2, 3))], live.flush()
        ([(16, 24, 3)], [])
        """
        decoder = self._need("decoder")
        total = checked_length(length, state)
        frames = None if total is None else self.spec.timing.frames(total)
        wanted = TileOptions(**options)
        window = Window.whole(total, frames)
        opened = DecodeStream(decoder, self.spec, wanted, window, on_tile=on_tile)
        if state is not None:
            opened.go_on(state)
        return opened

    def encode_stream(
        self,
        frames: Iterable[Frame],
        *,
        on_tile: OnTile | None = None,
        **options: Unpack[TileKeywords],
    ) -> Iterator[Tensor]:
        """Latents from the frames of one video, one by one, each as soon as it is known.

        Args:
            frames: (H, W, 3) RGB bytes; nothing is read ahead.

        Returns:
            An iterator of (C, h, w) tensors on the CPU, in the computing dtype. It raises what
            ``encode`` raises.
        """
        opened = self.open_encode_stream(on_tile=on_tile, **options)
        return _encoded(opened, frames)

    def open_picture(
        self, latents: LatentSource, index: int = 0, **options: Unpack[TileKeywords]
    ) -> PictureRun:
        """A picture larger than memory, to be decoded in bands: see ``PictureRun.tiles``.

        Args:
            latents: What ``open_latents`` returned for anything but an iterator.
            index: Which of them.

        Raises:
            InputError: It is none for this model, an option is wrong, or nothing fits the budget.

        >>> import taesd_stream as ts
        >>> latents = ts.open_latents(torch.zeros(4, 20, 30))
        >>> picture = ts.load("latent2rgb", device="cpu").open_picture(latents, tile=(10, 30))
        >>> [(region.y, tile.shape) for region, tile in picture.tiles()][1]
        (Interval(start=80, stop=160), torch.Size([3, 80, 240]))
        """
        decoder = self._need("decoder")
        if decoder.network.stateful:
            raise InputError(
                f"picture: expected a model for pictures, found {self.spec.name}, which decodes"
                " videos; stream its frames"
            )
        as_sizes(
            (latents.channels, latents.height, latents.width),
            self.spec.latent_channels,
            f"{self.spec.name} to decode",
        )
        return PictureRun(decoder, LatentPlane(latents, index), TileOptions(**options))

    def open_encode_picture(
        self, size: Size, read: ReadPixels, **options: Unpack[TileKeywords]
    ) -> PictureRun:
        """A picture larger than memory, to be encoded in bands.

        Args:
            size: Height and width in pixels.
            read: Is given rows and columns, two slices, and returns (h, w, 3) RGB bytes of them.

        Raises:
            InputError: This model encodes videos, an option is wrong, or nothing fits the budget.
        """
        encoder = self._need("encoder")
        if encoder.network.stateful:
            raise InputError(
                f"picture: expected a model for pictures, found {self.spec.name}, which encodes"
                " videos; encode it as a stream of one frame"
            )
        return PictureRun(encoder, PixelPlane(size, read), TileOptions(**options))

    def open_encode_stream(
        self,
        *,
        state: StreamState | None = None,
        on_tile: OnTile | None = None,
        **options: Unpack[TileKeywords],
    ) -> EncodeStream:
        """A video to be encoded by ``push``, for callers without an iterator.

        Args:
            state: What another stream of this model saved; this one goes on from there.

        Raises:
            InputError: The state is another model's.
        """
        wanted = TileOptions(**options)
        workload = Workload(steps=None, pictures=None, ahead=1)
        opened = EncodeStream(self._need("encoder"), self.spec, wanted, workload, on_tile)
        if state is not None:
            opened.go_on(state)
        return opened

    def plan(
        self,
        shape: Iterable[int],
        *,
        action: str = "decode",
        frames: int | None = None,
        **options: Unpack[TileKeywords],
    ) -> TilePlan:
        """What ``decode`` (or ``encode``) will do with a tensor of this shape; print it.

        Args:
            shape: (N, C, h, w) or (N, T, C, h, w) of latents, or of images to encode; or (C, h, w)
                of those that come one by one, as to ``stream``.
            frames: How many pictures are made (or encoded) one by one, if that is known.

        Raises:
            InputError: No such shape, or nothing fits the budget.
        """
        if action not in ("decode", "encode"):
            raise InputError(f"action: expected decode or encode, found {action!r}")
        coder = self._need(f"{action}r")
        sizes = as_sizes(shape, coder.network.channels, f"{self.spec.name} to {action}")
        workload = tensor_workload(self.spec, coder.network, sizes[:-3], action, frames)
        wanted = TileOptions(**options)
        return coder.plan(Size(*sizes[-2:]), workload, wanted)

    def plan_stream(
        self,
        latents: LatentSource,
        *,
        frames: slice | None = None,
        ahead: int = 1,
        **options: Unpack[TileKeywords],
    ) -> TilePlan:
        """What ``stream`` will do with latents that were opened.

        Raises:
            InputError: There are none of these frames, or nothing fits the budget.
        """
        decoder = self._need("decoder")
        windows = windows_of(decoder.network, self.spec, latents, frames)
        wanted = TileOptions(**options)
        plane = Size(latents.height, latents.width)
        plan = decoder.plan(plane, windows[0].workload(ahead), wanted)
        counts = [window.frame_count for window in windows]
        known = [count for count in counts if count is not None]
        return replace(plan, frames=sum(known) if len(known) == len(counts) else None)

    def digest_of_weights(self, action: str) -> str:
        """What tells the weights to "decode" (or to "encode") with from others."""
        return self._need(f"{action}r").digest()

    def rounding_of(self, action: str) -> str:
        """What tells how "decode" (or "encode") rounds to 8 bits; "none" if it does not."""
        return self._need(f"{action}r").rounding

    def is_for_videos(self, action: str) -> bool:
        """Whether to "decode" (or to "encode") a picture takes what others have left behind."""
        return bool(self._need(f"{action}r").network.stateful)

    def _need(self, part: str) -> Coder:
        coder = {"decoder": self._decoder, "encoder": self._encoder}[part]
        if coder is not None:
            return coder
        if variant_named(self.spec.name).encoder is None:
            raise InputError(f"{self.spec.name} has no {part}, it only decodes; give another model")
        raise InputError(
            f"{self.spec.name} was loaded without its {part}; give the {part}'s file, or a file"
            " that holds both"
        )


def _decoded(
    opened: DecodeStream, reading: AbstractContextManager[Iterable[Tensor]]
) -> Iterator[Tensor]:
    with reading as latents:
        for latent in latents:
            yield from opened.take(latent)
        yield from opened.finish()


def _encoded(opened: EncodeStream, frames: Iterable[Frame]) -> Iterator[Tensor]:
    for frame in frames:
        yield from opened.push(frame)
    yield from opened.flush()
