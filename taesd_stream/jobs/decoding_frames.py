"""Frames into a file, while the next ones are decoded."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from taesd_stream.engine.streams.video_run import VideoRun
from taesd_stream.errors import Interrupted, TaesdStreamError
from taesd_stream.jobs.decoding_run import FrameDecoding
from taesd_stream.jobs.delivery.frame_delivery import FrameDelivery
from taesd_stream.jobs.delivery.frame_sinks import open_sink
from taesd_stream.jobs.delivery.interrupted import inode_of, kept_pictures, what_is_left
from taesd_stream.jobs.progress import FrameProgress, Reporting
from taesd_stream.jobs.results import Rendered, rendered
from taesd_stream.jobs.resume.finished import is_finished, remembered
from taesd_stream.jobs.resume.resumed_video import (
    ResumedVideo,
    fingerprint_of_video,
    segment_frames_of,
)
from video.sink import Sink

__all__ = ["write_frames", "write_rest"]


def write_frames(decoding: FrameDecoding, reporting: Reporting) -> Rendered:
    """Decode frames into a video, pictures, or an array.

    Raises:
        InputError: The frames do not fit the output; no file is left.
        OutputError: The output could not be written; no file is left.
        Interrupted: Ctrl-C; the message says what is left and where.
    """
    run, output = decoding.run, decoding.output
    output.check_count(run.plan.frames)
    start = time.perf_counter()
    result = partial(rendered, decoding.ae, output)
    if not output.resume:
        sink = _Delivery(decoding, run, reporting).carry_out()
        return result(run.plan, start, frames=sink.frames_written, notes=sink.notes)
    each = segment_frames_of(decoding)
    fingerprint = fingerprint_of_video(decoding, each)
    if is_finished(output, fingerprint):
        return result(run.plan, None, frames=len(run.numbers))
    with remembered(output, fingerprint) as journal:
        resumed = ResumedVideo.of(decoding, journal, each)
        sink = write_rest(decoding, resumed, reporting)
    plan = run.plan if resumed.left is None else resumed.left.plan
    return result(plan, start, frames=resumed.total, notes=sink.notes)


def write_rest(decoding: FrameDecoding, resumed: ResumedVideo, reporting: Reporting) -> Sink:
    """Decode the frames of a video in segments that are left, and join all segments.

    Raises:
        InputError: As ``write_frames``.
        OutputError: The same.
        Interrupted: The same.
    """
    return _Delivery(decoding, resumed.left, reporting, resumed).carry_out()


@dataclass(frozen=True, slots=True)
class _Delivery:
    """The frames of a run on their way into a file.

    Attributes:
        run: Decodes them; None where all are there, and only have to be joined.
        resumed: The video that they are the rest of; None if they are all of it.
    """

    decoding: FrameDecoding
    run: VideoRun | None
    reporting: Reporting
    resumed: ResumedVideo | None = None

    def carry_out(self) -> Sink:
        """Write every frame while the next is made; if that ends early, say what is left."""
        output, size = self.decoding.output, self.decoding.run.plan.pixels
        out = output.name
        sink: Sink | None = None
        inode_before = inode_of(out)
        delivery = FrameDelivery(self.decoding.ae.settings.device, size)
        try:
            with ExitStack() as closing_sink:
                opener = open_sink if self.resumed is None else self.resumed.open_sink
                sink = closing_sink.enter_context(opener(output, size))
                delivery.carry_out(closing_sink, sink, self._frames)
        except KeyboardInterrupt as error:
            if delivery.is_writing:
                raise Interrupted(
                    f"interrupted twice, while {out} was being finished; it is not complete"
                ) from error
            left = self.resumed.kept if self.resumed else what_is_left(sink, out, inode_before)
            raise Interrupted(f"interrupted; {left}") from error
        except TaesdStreamError as error:
            kept = self.resumed.kept if self.resumed else kept_pictures(sink)
            if kept is not None:
                error.add_note(kept)
            raise
        return sink

    def _frames(self, check: Callable[[], None]) -> Generator[Tensor]:
        """The frames, (H, W, 3) bytes on the device that computes them.

        Args:
            check: Raises the writer's error, if there is one; called often.
        """
        if self.run is None:
            return
        plan = self.run.plan
        self.reporting.on_plan(plan)

        def on_tile(done: int, total: int) -> None:
            check()
            bar.part(done, total)
            self.reporting.on_progress(bar.done, plan.frames)

        with FrameProgress(
            plan.frames,
            shown=self.reporting.progress,
            frame_area=plan.pixels.area,
            seconds=plan.seconds,
        ) as bar:
            for frame in self.run.tensors(on_tile=on_tile):
                yield frame
                bar.frame()
