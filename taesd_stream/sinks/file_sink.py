"""A file or numbered pictures as a sink, opened when the first frame tells its size."""

from __future__ import annotations

from typing import Final

from taesd_stream.jobs.delivery.frame_sinks import open_sink
from taesd_stream.jobs.output import Output
from taesd_stream.sinks.frames import frame_array
from tiling import Size
from video.sink import Sink as Writer

__all__ = ["FileSink"]

_SEVERAL: Final = 2


class FileSink:
    """Frames into a file or numbered pictures, which appear when they are complete.

    Args:
        output: What to write; of several pictures.

    Raises:
        InputError: Nothing can be written there, or it is a single picture.
    """

    def __init__(self, output: Output) -> None:
        output.check_place()
        output.check_count(_SEVERAL)
        self._output = output
        self._writer: Writer | None = None

    def write(self, frame: object) -> None:
        """Add a frame, as ``Sink.write`` takes it.

        Raises:
            InputError: It is no frame, or of another size than the first.
            OutputError: It cannot be written.
        """
        pixels = frame_array(frame)
        if self._writer is None:
            self._writer = open_sink(self._output, Size(pixels.shape[0], pixels.shape[1]))
        self._writer.write(pixels)

    def close(self) -> None:
        """Finish the file; where no frame came there is none. A second call does nothing."""
        self.leave(None)

    def leave(self, error: BaseException | None) -> None:
        """``close``, after an error: what is finished is kept under a name that says so."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.__exit__(None if error is None else type(error), error, None)
