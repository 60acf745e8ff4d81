"""A video decoded under one plan: the plan that is shown is the one that is carried out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Self

from torch import Tensor

from taesd_stream.engine.coder import Coder
from taesd_stream.engine.options import TileOptions, frames_of_chunk
from taesd_stream.engine.pixels import to_array
from taesd_stream.engine.run import OnTile
from taesd_stream.engine.speeds import Speed, timed
from taesd_stream.engine.streams.decode_stream import DecodeStream, Frame
from taesd_stream.engine.streams.frame_windows import Window, as_slice, frame_numbers, windows_of
from taesd_stream.errors import InputError
from taesd_stream.latents import LatentSource
from taesd_stream.models.latent_spaces import Convention
from tiling import Size, TilePlan
from video.transparency import OVER_WHITE, Transparency

__all__ = ["VideoRun"]


class VideoRun:
    """The frames that are wanted of a video, decoded as they are iterated over.

    Made by ``AutoEncoder.open_video``; the sibling of ``PictureRun``. Iteration gives (H, W, 3) RGB
    bytes, ``tensors`` the same on the computing device. Where latents can be read again, so can
    frames. Several clips are decoded one after the other, each for itself, all under one plan.

    Args:
        coder: The decoder.
        latents: (C, h, w) tensors, all of one size; read where they are needed, or in order.
        options: How the work is cut into tiles.
        frames: Which frames; None is all.
        ahead: The most latents read before the frames of the first of them go out.
        plan: One that was made already; None makes it.
        convention: The scale of the latents, where it is not the one their source or the model has.
        noun: What the plan calls a frame.

    Raises:
        InputError: There are none of these frames, or nothing fits the budget.
    """

    def __init__(
        self,
        coder: Coder,
        latents: Iterable[Tensor],
        options: TileOptions,
        *,
        frames: slice | None = None,
        ahead: int = 1,
        plan: TilePlan | None = None,
        convention: Convention | None = None,
        noun: str = "frame",
    ) -> None:
        self._transparency = OVER_WHITE
        self._coder, self._latents = coder, latents
        self._options, self._frames, self._ahead = options, frames, ahead
        self._convention, self._scale = convention, coder.scale(convention, latents)
        chunk = frames_of_chunk(coder.network, options.chunk)
        self._windows = windows_of(coder.network, coder.spec, latents, frames, chunk)
        self._plan, self._noun = plan, noun
        plane = _plane_of(latents)
        if plan is None and plane is not None:
            self._plan_for(plane)

    @property
    def plan(self) -> TilePlan:
        """The plan that is carried out; of an iterator's latents, the first is read for it.

        Raises:
            InputError: There is no latent, or nothing fits the budget.
        """
        if self._plan is not None:
            return self._plan
        coming = iter(self._latents)
        first = next(coming, None)
        if first is None:
            raise InputError("latents: expected at least one, found none")
        if coming is self._latents:  # an iterator, which gives it no second time
            self._latents = chain((first,), coming)
        return self._plan_for(Size(*first.shape[-2:]))

    @property
    def frame_count(self) -> int | None:
        """The number of frames that are made; None if nobody knows."""
        return _total([window.frame_count for window in self._windows])

    @property
    def step_count(self) -> int | None:
        """The number of latents that are decoded for them; None if nobody knows."""
        return _total([window.workload(self._ahead).steps for window in self._windows])

    def __iter__(self) -> Iterator[Frame]:
        return map(to_array, self.tensors())

    def tensors(self, *, on_tile: OnTile | None = None) -> Iterator[Tensor]:
        """The frames as (H, W, 3) tensors of bytes on the computing device.

        On a GPU they come before they are computed: what takes them may launch more work at once.

        Args:
            on_tile: Told after each tile how many pixels of the frames that are made together are
                done, and of how many.

        Raises:
            InputError: A latent has another size than the first, or other channels than the model.
            NonFiniteError: A latent holds NaN or infinity.
            OutOfMemoryError: Not even the smallest tile fits.
        """
        return chain.from_iterable(self._decode(window, on_tile) for window in self._windows)

    @property
    def numbers(self) -> range:
        """The numbers of the frames that are made; without end where nobody knows how many."""
        return frame_numbers(self._coder.spec, self._latents, self._frames)

    @property
    def latent_numbers(self) -> range:
        """The numbers of the latents that are read for them, in the source, and those between."""
        ends = [
            window.offset + number
            for window in self._windows
            for number in (window.latents[0], window.latents[-1])
        ]
        return range(min(ends), max(ends) + 1)

    def part(self, first: int, stop: int | None = None) -> VideoRun | None:
        """The run of some of the frames that are made, counted from 0, under the same plan.

        Returns:
            None if there are none.
        """
        frames = self.numbers[first:stop]
        if not frames:
            return None
        part = VideoRun(
            self._coder,
            self._latents,
            self._options,
            frames=as_slice(frames),
            ahead=self._ahead,
            plan=self._plan_of_part(len(frames)),
            convention=self._convention,
        )
        return part.with_transparency(self._transparency)

    def _plan_of_part(self, frames: int) -> TilePlan:
        """The plan for so many of the frames."""
        seconds = self.plan.seconds
        part = None if seconds is None else seconds * frames / len(self.numbers)
        return replace(self.plan, frames=frames, seconds=part)

    def tell_time(self, speed: Speed) -> None:
        """Put into the plan how long it takes at a speed."""
        self._plan = timed(self.plan, self.step_count, speed)

    def with_transparency(self, transparency: Transparency) -> Self:
        """This run, whose frames are (H, W, 4) bytes where the model makes alpha and it is kept."""
        self._transparency = transparency
        return self

    def _decode(self, window: Window, on_tile: OnTile | None) -> Iterator[Tensor]:
        opened = DecodeStream(
            self._coder,
            window,
            self._plan_for,
            scale=self._scale,
            on_tile=on_tile,
            transparency=self._transparency,
        )
        with window.read(self._latents, self._ahead) as latents:
            for latent in latents:
                yield from opened.take(latent)
            yield from opened.finish()

    def _plan_for(self, plane: Size) -> TilePlan:
        """The one plan, made when the size of the latents is first known."""
        if self._plan is None:
            longest = max(self._windows, key=lambda window: len(window.latents))
            made = self._coder.plan(plane, longest.workload(self._ahead), self._options)
            whole = replace(made, frames=self.frame_count, noun=self._noun)
            self._plan = timed(whole, self.step_count)
        return self._plan


def _plane_of(latents: Iterable[Tensor]) -> Size | None:
    """Height and width of latents, if they can be known without reading any."""
    if isinstance(latents, LatentSource):
        return Size(latents.height, latents.width)
    if isinstance(latents, Tensor) and latents.dim() >= 3:
        return Size(*latents.shape[-2:])
    return None


def _total(counts: Sequence[int | None]) -> int | None:
    """The sum of counts; None if one of them is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
