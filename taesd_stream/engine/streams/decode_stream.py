"""Latents in, one by one; frames out, each as soon as it is known."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from math import prod

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from taesd_stream.engine.coder import Coder
from taesd_stream.engine.latent_scale import LatentScale
from taesd_stream.engine.pixels import to_array, to_bytes
from taesd_stream.engine.run import OnTile, Run
from taesd_stream.engine.shapes import as_one_picture
from taesd_stream.engine.streams.frame_windows import Window, check_enough
from taesd_stream.engine.streams.video_stream import VideoStream
from taesd_stream.engine.streams.waiting_latents import Spool
from taesd_stream.errors import InputError
from taesd_stream.latents import check_finite
from taesd_stream.models.stream_state import StreamState
from tiling import Size, TilePlan
from video.transparency import OVER_WHITE, Transparency

__all__ = ["DecodeStream", "Frame"]

_log = logging.getLogger("taesd_stream")

Frame = npt.NDArray[np.uint8]


class DecodeStream(VideoStream):
    """A video being decoded: ``push`` latents, and get the frames that they complete.

    Made by ``AutoEncoder.open_stream``. The frames of all pushes and of ``flush``, one after the
    other, are those of ``stream`` and of ``decode``, however the latents are spread over pushes.

    A context manager, for those who want what tiles remember to go when they are done: the end of
    the block closes the stream, and what was not flushed is dropped.

    Args:
        coder: The decoder.
        window: Which latents come, and which frames of theirs are wanted.
        plan_for: How latents of a size are cut; asked when the first one comes.
        scale: Brings latents to the numbers that the network takes.
        on_tile: Told after each tile how much is done, and of how much.
        transparency: What becomes of an alpha that the model makes.
    """

    _action = "decode"
    _pushed = "latent"

    def __init__(
        self,
        coder: Coder,
        window: Window,
        plan_for: Callable[[Size], TilePlan],
        *,
        scale: LatentScale,
        on_tile: OnTile | None = None,
        transparency: Transparency = OVER_WHITE,
    ) -> None:
        super().__init__(coder, on_tile)
        self._transparency = transparency
        self._window, self._plan_for, self._scale = window, plan_for, scale
        self._total = window.total
        self._arrived = self._done = 0
        self._waiting = Spool()

    @property
    def plan(self) -> TilePlan | None:
        """The plan that is carried out; None before the first latent."""
        return self._run.plan if self._run is not None else None

    def push(self, latent: Tensor) -> list[Frame]:
        """Take in the next latent.

        Args:
            latent: (C, h, w), of the size of the first one.

        Returns:
            The frames that are known now and were not before, (H, W, 3) RGB bytes.

        Raises:
            InputError: Its shape is wrong, or the stream was flushed.
            NonFiniteError: It holds NaN or infinity.
            OutOfMemoryError: Not even the smallest tile fits.
        """
        return [to_array(image) for image in self.take(latent)]

    def flush(self) -> list[Frame]:
        """The frames that waited for more latents; none can be pushed afterwards.

        Raises:
            InputError: There were fewer latents than this model can make a frame of, or not as many
                as were promised.
        """
        return [to_array(image) for image in self.finish()]

    def close(self) -> None:
        """Let go of all that is held; no latent can be pushed afterwards."""
        super().close()
        self._waiting = Spool()

    def save(self) -> StreamState:
        """All that is needed to go on later, or elsewhere: ``open_stream(state=...)``.

        Raises:
            InputError: No latent has come yet, or tiles are blended.
        """
        waiting = self._waiting.all()
        pending = {} if waiting is None else {"latents": waiting}
        return self._saved(done=self._done, total=self._total, pending=pending)

    def go_on(self, state: StreamState) -> None:
        """Take over what another stream of this model saved.

        Raises:
            InputError: It is another model's.
        """
        self._take_over(state, state.done)
        self._arrived = self._done = state.done
        for latent in state.pending.get("latents", ()):
            as_one_picture(latent, self._arrived, self._spec)
            check_finite(latent, self._arrived)
            self._waiting.put(latent)
            self._arrived += 1

    def take(self, latent: Tensor) -> Iterator[Tensor]:
        """``push``, frame by frame: (H, W, 3) bytes, still on the computing device."""
        number = self._number(self._arrived)
        name = self._window.offset + number
        one = as_one_picture(latent, name, self._spec)
        if self._closed or (self._total is not None and number >= self._total):
            raise InputError(
                f"latent {name}: expected no more after"
                f" {'the stream was flushed' if self._closed else f'{self._total} latents'};"
                " open another stream"
            )
        plane = Size(*one.shape[2:])
        if self._run is not None and self._run.plane != plane:
            raise InputError(
                f"latent {name} is {plane}, but the stream began with {self._run.plane};"
                " all latents of a video must have one size"
            )
        check_finite(one[0], name)
        if self._run is None:
            self._begin(plane)
        self._waiting.put(self._scale.to_network(one[0]))
        self._arrived += 1
        yield from self._advance()

    def finish(self) -> Iterator[Tensor]:
        """``flush``, frame by frame, as ``take``."""
        if self._closed or (not self._arrived and not self._total):
            self._closed = True
            return
        came = self._number(self._arrived - 1) + 1 if self._arrived else 0
        if self._total is None:
            check_enough(self._spec, came)
            self._total = came
        elif self._arrived < len(self._window.latents):
            raise InputError(
                f"latents: expected {self._total}, as was said before, found {came}; say how many"
                " there are, or leave it out"
            )
        self._closed = True
        yield from self._advance()
        timing, total = self._spec.timing, self._total
        usable = timing.usable(total)
        if usable < total and self._window.latents.stop >= usable:
            name, rest, chunk = self._spec.name, timing.rest, timing.chunk
            _log.warning(
                f"the last {total - usable} of {total} latents make no frame: {name} makes frames"
                f" of {rest} latents, and of every {chunk} more"
            )

    def _number(self, count: int) -> int:
        """The number in its video of the latent that came after ``count`` others."""
        return self._window.latents.start + count * self._window.latents.step

    def _begin(self, plane: Size) -> Run:
        plan = self._plan_for(plane)
        whole = plan.state is not None and plan.state.segment is None
        self._run = Run(self._coder, plan, plane, goes_on=not whole)
        return self._run

    def _ready(self) -> int:
        """Count those of the latents that came that can be decoded."""
        if not self._coder.remembers:
            return self._arrived
        first = self._window.latents.start
        return self._spec.timing.ready(first + self._arrived, self._total) - first

    def _advance(self) -> Iterator[Tensor]:
        """Decode what can be decoded, turn by turn."""
        if self._run is None:
            return
        turn = self._run.plan.turn(len(self._window.latents))
        ready = self._ready()
        last = self._closed or self._arrived >= len(self._window.latents)
        while self._done < ready and (last or ready - self._done >= turn):
            count = min(turn, ready - self._done)
            raw = self._number(self._done) * self._spec.timing.growth
            self._done += count
            yield from self._decode(self._run, self._waiting.take(count), raw)

    def _decode(self, run: Run, latents: Tensor, first_raw: int) -> Iterator[Tensor]:
        """The wanted frames of a few latents, put together where they are computed.

        Of exact tiles each comes as soon as it and all before it are whole.
        """
        made = run.made
        wanted = deque(
            index
            for index in range(latents.shape[0] * self._spec.timing.growth)
            if self._is_wanted(first_raw + index)
        )
        exact = run.plan.overlap == "exact"
        channels, kept = self._coder.network.out_channels, self._transparency.is_kept
        shape = (*made, channels if kept else 3) if exact else (channels, *made)
        dtype = torch.uint8 if exact else torch.float32
        device = self._room(run.plan, len(wanted) * prod(shape) * dtype.itemsize)
        frames: dict[int, Tensor] = {}
        missing = dict.fromkeys(wanted, made.area)
        for index, (y, x), pixels in run.parts(latents, self._on_tile):
            if index not in missing:
                continue
            if index not in frames:
                frames[index] = torch.zeros(shape, dtype=dtype, device=device)
            if exact:
                frames[index][y, x] = to_bytes(pixels, self._transparency)
                missing[index] -= pixels.shape[1] * pixels.shape[2]
            else:
                frames[index][:, y, x] += pixels.to(frames[index])
            while exact and wanted and not missing[wanted[0]]:
                yield frames.pop(wanted.popleft())
        for index in wanted:
            yield to_bytes(frames.pop(index), self._transparency)

    def _room(self, plan: TilePlan, frames_bytes: int) -> torch.device:
        """The device to put frames together on: the model's, if that keeps within the budget."""
        fits = plan.peak_bytes + frames_bytes <= plan.budget_bytes
        return self._coder.settings.device if fits else torch.device("cpu")

    def _is_wanted(self, raw: int) -> bool:
        frame = self._spec.timing.frame(raw, self._total)
        return frame is not None and frame in self._window.frames
