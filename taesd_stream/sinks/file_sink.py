"""A file or numbered pictures as a sink, opened when the first frame tells its size."""

from __future__ import annotations

from typing import Final

import numpy as np

from taesd_stream.errors import InputError
from taesd_stream.jobs.delivery.frame_sinks import open_sink
from taesd_stream.jobs.output import Output
from taesd_stream.sinks.frames import Frame, frame_array
from taesd_stream.sinks.pacing import ConstantRate, Pacing
from tiling import Size
from video.recording import RecordingWriter
from video.sink import Sink as Writer

__all__ = ["FileSink"]

_SEVERAL: Final = 2


class FileSink:
    """Frames into a file or numbered pictures.

    A video plays up to its newest frame while it is written: see ``video.RecordingWriter``.

    Args:
        output: What to write; of several pictures.
        pacing: Where frames lie in time.

    Attributes:
        notes: Remarks for whoever asked for the output, a line each; known when it is closed.

    Raises:
        InputError: Nothing can be written there, it is a single picture, or a file whose frames
            have no times of their own is to have such.
    """

    def __init__(self, output: Output, pacing: Pacing) -> None:
        output.check_place()
        output.check_count(_SEVERAL)
        self._is_recording = output.is_segmentable and not output.makes_pictures
        if pacing.is_live and pacing.rate is None and not self._holds_any_times(output):
            raise InputError(
                f"fps: expected frames per second for {output.suffix}, whose frames have no times"
                " of their own, found 'live'; give constant_rate= with it, or write .mp4 .mov .mkv"
                " .webm"
            )
        self._output, self._pacing = output, pacing
        is_resampled = pacing.is_live and pacing.rate is not None
        self._rate = ConstantRate(pacing.usual_rate) if is_resampled else None
        self.notes: tuple[str, ...] = ()
        self._writer: Writer | None = None
        self._start: float | None = None
        self._latest: Frame | None = None

    def _holds_any_times(self, output: Output) -> bool:
        return self._is_recording or output.makes_pictures

    def write(self, frame: object) -> None:
        """Add a frame, as ``Sink.write`` takes it.

        Raises:
            InputError: It is no frame, or of another size than the first.
            OutputError: It cannot be written.
        """
        self.put(frame_array(frame), None)

    def put(self, frame: Frame, at: float | None) -> bool:
        """``write``, of a frame that came at a time in seconds; returns whether it is shown."""
        writer = self._writer
        if writer is None:
            writer = self._writer = self._open(Size(frame.shape[0], frame.shape[1]))
        if at is None or not self._pacing.is_live:
            writer.write(frame)
            return True
        if self._start is None:
            self._start = at
        since = at - self._start
        if self._rate is None:
            self._write_at(writer, frame, since)
            return True
        return self._write_paced(writer, self._rate, frame, since)

    def hurry(self) -> None:
        """Do nothing: no frame waits."""

    def close(self) -> None:
        """Finish the file; where no frame came there is none. A second call does nothing."""
        self.leave(None)

    def leave(self, error: BaseException | None) -> None:
        """``close``, after an error: what is finished is kept under a name that says so."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.__exit__(None if error is None else type(error), error, None)
        finally:
            self.notes = writer.notes

    def _open(self, size: Size) -> Writer:
        if not self._is_recording:
            return open_sink(self._output, size)
        return RecordingWriter(
            self._output.path,
            width=size.width,
            height=size.height,
            options=self._output.video_options,
            is_timed=self._pacing.rate is None,
        )

    def _write_at(self, writer: Writer, frame: Frame, since: float) -> None:
        if isinstance(writer, RecordingWriter):
            writer.write(frame, since)
        else:
            writer.write(frame)

    def _write_paced(self, writer: Writer, rate: ConstantRate, frame: Frame, since: float) -> bool:
        """Write a frame at its place in a constant rate, and what is before it until then."""
        repeats = rate.repeats(since)
        if repeats is None:
            return False
        latest = frame if self._latest is None else self._latest
        for _ in range(repeats):
            writer.write(latest)
        writer.write(frame)
        self._latest = np.array(frame)
        return True
