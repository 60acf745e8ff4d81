"""``VideoSink``: what a running program makes, into files, callables, cameras and servers."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Literal, Self

from torch import Tensor

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.load import load
from taesd_stream.engine.options import Overlap, Tile
from taesd_stream.errors import InputError
from taesd_stream.jobs.model_for_latents import Model
from taesd_stream.models.latent_spaces import Convention
from taesd_stream.sinks.counts import SinkCounts
from taesd_stream.sinks.feed import Feed
from taesd_stream.sinks.frames import FrameTaking, TakenFrame
from taesd_stream.sinks.latent_decoding import LatentDecoding
from taesd_stream.sinks.pacing import Pacing, Rate
from taesd_stream.sinks.queueing import Queueing, WhenFull
from taesd_stream.sinks.sink import Target
from taesd_stream.sinks.targets import FileOptions, open_targets
from tiling import Size, TilePlan

__all__ = ["VideoSink"]


class VideoSink:
    """Latents or frames of a running program, into one target or several.

    A context manager. What is given is copied at once, without waiting for a GPU, and decoded and
    written in threads: one for decoding, and one for each target, with a bounded queue each. What
    goes wrong with a target is told once, in the log and in ``counts``; the others, and the
    program, go on. To be used by one thread at a time.

    Args:
        target: A path as ``render`` takes it (a video, or a folder for numbered pictures), a
            function that is called with each frame, "camera" (needs the extra ``camera``),
            "ndi:NAME", "spout:NAME" or "syphon:NAME" (need the extras of these names), a streaming
            server's address such as ``rtmp://server/app/key``, an HLS playlist (.m3u8), something
            with ``write`` and ``close``, or a list of these. A video plays up to the newest frame
            while it is written, under the name of a part, whatever ends the process.
        model: What ``load`` takes, or a loaded model: then latents are pushed. None is for frames.
        fps: Frames per second of videos; "live" shows each frame at the time at which it came.
        constant_rate: Of "live": frames per second of the output all the same. Those that came
            are repeated until the next, or left out.
        when_full: What happens when there is no room in a queue: "wait" for it, or "drop" the
            oldest that waits, so that the program never waits.
        queue: How many latents, and frames for each target, may wait; None is as many as fit well.
        codec, crf, lossless, overwrite: As of ``render``.
        convention, tile, overlap, memory, threads: As of ``decode``.
        clock: Seconds, by which frames come.

    Raises:
        InputError: An argument makes no sense, or nothing can be written at a target.
        MissingExtraError: A library for a target is not installed.

    >>> import numpy as np
    >>> shapes = []
    >>> with VideoSink(lambda frame: shapes.append(frame.shape)) as sink:
    ...     sink.write(np.zeros((2, 4, 3), np.uint8))
    >>> shapes, sink.written, sink.dropped
    ([(2, 4, 3)], 1, 0)
    """

    def __init__(
        self,
        target: Target | Sequence[Target],
        *,
        model: Model | None = None,
        fps: Rate | Literal["live"] = 24,
        constant_rate: Rate | None = None,
        when_full: WhenFull = "wait",
        queue: int | None = None,
        codec: str | None = None,
        crf: int | None = None,
        lossless: bool = False,
        overwrite: bool = False,
        convention: Convention | None = None,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        threads: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        queueing, pacing = Queueing(when_full, queue), Pacing(fps, constant_rate)
        targets = open_targets(target, pacing, FileOptions(codec, crf, lossless, overwrite))
        self._feeds = tuple(Feed(name, opened, queueing) for name, opened in targets)
        self._clock = clock
        self._taking = FrameTaking()
        self._size: Size | None = None
        self._frames = self._latents = 0
        self._process = os.getpid()
        self._is_closed = False
        self._decoding: LatentDecoding | None = None
        atexit.register(self._at_exit)
        if model is None:
            return
        ae = model if isinstance(model, AutoEncoder) else load(model)
        stream = ae.open_stream(
            convention=convention, tile=tile, overlap=overlap, memory=memory, threads=threads
        )
        self._decoding = LatentDecoding(
            ae.spec, stream, queueing, self._deliver, is_timed=pacing.is_live
        )

    @property
    def counts(self) -> SinkCounts:
        """What became so far of what was given."""
        decoding = self._decoding
        return SinkCounts(
            pushed=self._latents + self._frames,
            dropped=0 if decoding is None else decoding.dropped,
            targets=tuple(feed.counts for feed in self._feeds),
            failure=None if decoding is None else decoding.failure,
        )

    @property
    def written(self) -> int:
        """Frames written so far, of all targets together."""
        return sum(each.written for each in self.counts.targets)

    @property
    def dropped(self) -> int:
        """Latents that were not decoded, and frames that were not written, of all targets."""
        counts = self.counts
        return counts.dropped + sum(each.dropped for each in counts.targets)

    @property
    def plan(self) -> TilePlan | None:
        """How latents are decoded; None before the first, and without a model."""
        return None if self._decoding is None else self._decoding.plan

    @property
    def waiting(self) -> int:
        """Latents that wait to be decoded, about; beside them, one may be in work."""
        return 0 if self._decoding is None else self._decoding.waiting

    @property
    def failures(self) -> tuple[str, ...]:
        """What went wrong, a line each."""
        counts = self.counts
        own = () if counts.failure is None else (f"decoding: {counts.failure}",)
        return own + tuple(
            f"{each.target}: {each.failure}" for each in counts.targets if each.failure is not None
        )

    def push(self, latent: Tensor) -> None:
        """Take the next latent, to be decoded and written.

        Args:
            latent: (C, h, w), of the model's channels and the size of the first one, on any device.

        Raises:
            InputError: It is something else, there is no model, or the sink is closed.
        """
        self._check_open()
        if self._decoding is None:
            raise InputError(
                "push: expected a sink with a model, found one without; give model=, or write"
                " finished frames"
            )
        self._decoding.push(latent, self._clock())
        self._latents += 1

    def write(self, frame: Any) -> None:
        """Take the next frame, to be written.

        Args:
            frame: (H, W, 3) RGB bytes as an array, or a tensor (3, H, W) of floats in [0, 1] on any
                device; of the size of the first one.

        Raises:
            InputError: It is something else, there is a model, or the sink is closed.
        """
        self._check_open()
        if self._decoding is not None:
            raise InputError(
                "write: expected a sink without a model, found one that decodes; push latents, or"
                " open another sink for finished frames"
            )
        taken = self._taking.take(frame, self._clock())
        if self._size not in (None, taken.size):
            raise InputError(
                f"frame {self._frames}: expected {self._size} pixels, as the first one had, found"
                f" {taken.size}; open another sink for another size"
            )
        self._size = taken.size
        self._hand_on(taken)
        self._frames += 1

    def drop_waiting(self) -> None:
        """Decode none of the latents that wait now, nor those that come; any thread may call it."""
        if self._decoding is not None:
            self._decoding.drop_waiting()

    def close(self) -> None:
        """Decode and write all that waits, and finish every target; a second call does nothing."""
        self._check_process()
        self._leave(None)

    def _leave(self, error: BaseException | None) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        atexit.unregister(self._at_exit)
        with ExitStack() as finishing:  # each of them, even where Ctrl-C ends the wait for another
            for feed in reversed(self._feeds):
                finishing.callback(feed.finish, error)
            if self._decoding is not None:
                self._decoding.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if os.getpid() == self._process:
            self._leave(error)

    def _at_exit(self) -> None:
        """Finish what the program did not close, under a name that says so."""
        if os.getpid() == self._process:
            self._leave(InputError("sink: expected it to be closed before the program ends"))

    def _deliver(self, image: Tensor, at: float | None) -> None:
        self._hand_on(self._taking.take_bytes(image, at))

    def _hand_on(self, frame: TakenFrame) -> None:
        for feed in self._feeds:
            feed.put(frame)

    def _check_open(self) -> None:
        self._check_process()
        if self._is_closed:
            raise InputError("sink: it is closed, and takes no more; open another")

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise InputError(
                f"sink: expected use in process {self._process}, which opened it, found process"
                f" {os.getpid()}, forked from it; open another sink here"
            )
