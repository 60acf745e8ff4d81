"""Frames into latents, read ahead while the ones before are encoded."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing

from torch import Tensor

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.latent_scale import LatentScale
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import ModelOptions, TileOptions
from taesd_stream.engine.streams.encode_stream import EncodeStream
from taesd_stream.engine.streams.frame_windows import chosen_frames
from taesd_stream.errors import InputError
from taesd_stream.jobs.delivery.frame_sinks import Frame
from taesd_stream.jobs.delivery.waiting import frames_that_wait
from taesd_stream.jobs.encoding_output import KnownLatents, LatentOutput, write_latents
from taesd_stream.jobs.progress import FrameProgress, Reporting
from taesd_stream.jobs.results import Encoded, encoded
from taesd_stream.jobs.time_in_plan import tell_time
from taesd_stream.latents.metadata import LatentMetadata
from tiling import Size, TilePlan, plural
from video import FrameReader
from video.background import ReadAhead

__all__ = ["FrameEncoding", "encode_frames"]

_DEFAULTS = ModelOptions()


class FrameEncoding:
    """Frames that are to be encoded, under one plan.

    Args:
        reader: Reads them.
        ae: The model.
        options: How they are cut into tiles.
        scale: Of the latents that are wanted.
        total: How many frames there are; None if nobody knows.
        wanted: Which of them; None is all.

    Attributes:
        reader: The same.
        ae: The same.
        frames: The numbers of the frames; without end where nobody knows how many.
        count: How many there will be; None if nobody knows.
        plane: Height and width of a frame, in pixels.
        known: What is known of the latents that they become.
        encoded: How many frames are done with.

    Raises:
        InputError: There are none of these frames, or an option makes no sense.
    """

    def __init__(
        self,
        reader: FrameReader,
        ae: AutoEncoder,
        options: TileOptions,
        scale: LatentScale,
        *,
        total: int | None,
        wanted: slice | None,
    ) -> None:
        self.reader, self.ae = reader, ae
        self.frames = chosen_frames(total, wanted)
        if self.frames.step < 0:
            raise InputError(f"frames: expected numbers that rise, found {wanted}")
        self.count = None if total is None else len(self.frames)
        self.plane = Size(reader.height, reader.width)
        rate = reader.rate / self.frames.step if reader.knows_rate else None
        metadata = LatentMetadata(scale.convention, rate, (reader.height, reader.width))
        self.known = KnownLatents(metadata, ae.spec)
        self._bar: FrameProgress | None = None
        self.encoded = 0
        self._stream = EncodeStream(
            coder_of(ae, "encode", options.seed),
            options,
            count=self.count,
            convention=scale.convention,
            on_tile=self._on_tile,
        )
        self._stream.plan_for(self.plane)
        tell_time(ae, self._stream, _DEFAULTS)

    @property
    def plan(self) -> TilePlan:
        """How they are cut."""
        return self._stream.plan_for(self.plane)

    def latents(self, reporting: Reporting) -> Generator[Tensor]:
        """The latents, each as soon as it is known."""
        plan, shown = self.plan, reporting.progress
        reporting.on_plan(plan)
        frames = (frame.image for frame in self.reader.frames_of(self.frames))
        with (
            FrameProgress(self.count, shown=shown, seconds=plan.seconds) as self._bar,
            ReadAhead(frames, most=frames_that_wait(self.plane)) as ahead,
        ):
            yield from self._stream.encode(self._counted(ahead, self._bar))

    def _counted(self, images: Iterator[Frame], bar: FrameProgress) -> Iterator[Frame]:
        for image in images:
            yield image
            self.encoded += 1
            bar.frame()
        if not self.encoded:
            raise InputError(
                f"frames: {self.reader.path} has no frame from {self.frames.start} on; give a"
                " smaller start"
            )

    def _on_tile(self, done: int, total: int) -> None:
        if self._bar is not None:
            self._bar.part(done, total)

    def result(
        self,
        output: LatentOutput,
        plan: TilePlan,
        start: float | None,
        *,
        frames: int,
        latents: int,
        notes: tuple[str, ...] = (),
    ) -> Encoded:
        """What has been made of so many frames, under a plan, and when that was begun."""
        notes += (*self.reader.notes, *self.known.lost_in(output.path))
        notes += _lost_frames(self.ae, frames, latents)
        return encoded(
            *(self.ae, output.path, plan, start), frames=frames, latents=latents, notes=notes
        )


def encode_frames(encoding: FrameEncoding, output: LatentOutput, reporting: Reporting) -> Encoded:
    """Encode frames into a file, in bounded memory.

    Raises:
        InputError: Frames cannot be read; no file is left.
        OutputError: The output could not be written; no file is left.
        Interrupted: Ctrl-C; the message says what is left and where.
    """
    start, plan = time.perf_counter(), encoding.plan
    with closing(encoding.latents(reporting)) as latents:
        written, notes = write_latents(output, latents, encoding.known)
    return encoding.result(
        *(output, plan, start), frames=encoding.encoded, latents=written, notes=notes
    )


def _lost_frames(ae: AutoEncoder, frames: int, latents: int) -> tuple[str, ...]:
    """A remark where a decode of the latents has not as many frames as were encoded."""
    decoded = ae.spec.timing.frames(latents)
    if decoded == frames:
        return ()
    verb = "decodes" if latents == 1 else "decode"
    return (f"{plural(latents, 'latent')} {verb} to {plural(decoded, 'frame')}, not {frames}",)
