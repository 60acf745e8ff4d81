"""Latents that other programs push, decoded and shown."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from torch import Tensor

from taesd_stream.errors import LatentsError
from taesd_stream.live.pushed_latents import PushedLatents
from taesd_stream.sinks import Sink, VideoSink
from tiling import Size, TilePlan

__all__ = ["BusyError", "Intake", "Pushed"]

T = TypeVar("T")
R = TypeVar("R")

_HOLDS_SECONDS: Final = 2.0
"""For so long after its last latent a stream keeps out latents of another size."""

_RESTS_SECONDS: Final = 60.0
"""After so long without a latent the next one begins another stream."""

_MOST_WAITING: Final = 1
"""Latents; one that comes alone when so many wait is dropped, so that what is shown is not old."""

_LOOK_AGAIN: Final = 0.002


class BusyError(LatentsError):
    """Latents of another size are being shown."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of all that was pushed.

    Attributes:
        pushed: Latents that were taken.
        dropped: Of these, those that were not decoded: they made room for newer ones, or decoding
            failed.
    """

    pushed: int
    dropped: int

    def with_those_of(self, sink: VideoSink) -> Pushed:
        """These, and what became of what a sink was given."""
        counts = sink.counts
        return Pushed(self.pushed + counts.pushed, self.dropped + counts.dropped)


class _Shown:
    """Frames for the page, which goes on when a stream of latents ends."""

    def __init__(self, show: Callable[[Any, float], None]) -> None:
        self.write_at = show

    def write(self, frame: Any) -> None:
        self.write_at(frame, time.monotonic())

    def close(self) -> None:
        """Leave the page as it is."""


class Intake:
    """Decodes latents that are pushed, and shows their frames.

    All of one size are one stream, decoded in the order in which they come. Another begins with a
    program that connects, after a minute without a latent, and when decoding has failed: a video
    model then remembers nothing.

    Args:
        accepts: What may be pushed.
        open_sink: Opens what decodes a stream of them, and hands its frames to a sink.
        show: Told each frame and when its latent came.
    """

    def __init__(
        self,
        accepts: PushedLatents,
        open_sink: Callable[[Sink], VideoSink],
        show: Callable[[Any, float], None],
    ) -> None:
        self.accepts = accepts
        self._open_sink, self._shown = open_sink, _Shown(show)
        self._sink: VideoSink | None = None
        self._plane: Size | None = None
        self._latest = float("-inf")
        self._counted = Pushed(0, 0)  # of streams that have ended
        self._skipped = 0
        self._turn = threading.Lock()  # of who tells the present stream from those
        # One for all who push: those who wait for it keep no other waiting, nor memory.
        self._thread = ThreadPoolExecutor(1, "taesd-stream")

    @property
    def counts(self) -> Pushed:
        """What became so far of what was pushed."""
        with self._turn:
            sink, earlier = self._sink, self._counted
        total = earlier if sink is None else earlier.with_those_of(sink)
        return Pushed(total.pushed + self._skipped, total.dropped + self._skipped)

    @property
    def failure(self) -> str | None:
        """Why decoding failed; None if it did not."""
        sink = self._sink
        return None if sink is None else next(iter(sink.failures), None)

    @property
    def plan(self) -> TilePlan | None:
        """How they are decoded; None before the first."""
        sink = self._sink
        return None if sink is None else sink.plan

    async def read(self, data: bytes) -> Tensor:
        """Latents, (T, C, h, w), of the bytes of a file.

        Raises:
            LatentsError: They cannot be read, or may not be pushed; or the page is about to close.
        """
        return await self._in_thread(self.accepts.read, data)

    async def push(self, latents: Tensor, *, waits: bool, begins: bool = False) -> int:
        """Take latents, (T, C, h, w), which were checked; in the page's loop.

        Those of a clip are all shown, however long that takes. One that comes alone is not, if
        others wait: what is shown is never old.

        Args:
            waits: Whether one that comes alone waits for the others, too.
            begins: Whether they begin another stream.

        Returns:
            How many were taken.

        Raises:
            BusyError: Latents of another size were pushed a moment ago.
            LatentsError: They cannot be taken, or the page is about to close.
        """
        taken = 0
        for latent in latents:
            if self._is_full and len(latents) == 1 and not waits:
                self._skipped += 1
                continue
            while self._is_full:
                await asyncio.sleep(_LOOK_AGAIN)
            work = partial(self._push, begins=begins and not taken)
            await self._in_thread(work, latent)
            taken += 1
        return taken

    def close(self) -> None:
        """End, and decode nothing that waits; a second call does nothing."""
        sink = self._sink
        if sink is not None:
            sink.drop_waiting()
        self._thread.shutdown()
        self._end()

    async def _in_thread(self, work: Callable[[T], R], given: T) -> R:
        try:
            working = asyncio.get_running_loop().run_in_executor(self._thread, work, given)
        except RuntimeError as error:  # the thread has ended
            raise LatentsError("latents: expected a page that is open, found none") from error
        try:
            return await working
        finally:
            del working  # else an error and this frame would hold each other, and the latents

    @property
    def _is_full(self) -> bool:
        sink = self._sink
        return sink is not None and sink.waiting >= _MOST_WAITING and not sink.failures

    def _push(self, latent: Tensor, *, begins: bool) -> None:
        plane, now = Size(*latent.shape[-2:]), time.monotonic()
        rested = now - self._latest
        if self._plane not in (None, plane) and rested < _HOLDS_SECONDS:
            raise BusyError(
                f"latents: expected {self._plane}, as those that are shown now, found {plane};"
                f" another size may begin when none has come for {_HOLDS_SECONDS:g} seconds"
            )
        sink = self._sink
        is_other = begins or rested > _RESTS_SECONDS or self._plane != plane
        if sink is None or is_other or sink.failures:
            sink = self._begin()
        sink.push(latent)
        self._plane, self._latest = plane, now

    def _begin(self) -> VideoSink:
        self._end()
        self._sink = self._open_sink(self._shown)
        return self._sink

    def _end(self) -> None:
        sink = self._sink
        if sink is not None:
            sink.close()
            with self._turn:
                self._sink, self._counted = None, self._counted.with_those_of(sink)
