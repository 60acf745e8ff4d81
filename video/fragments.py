"""A video file that is whole after every packet: it plays, however the process ends."""

from __future__ import annotations

import io
import os
import time
from typing import TYPE_CHECKING, Any

import av

from video.closing import Closing
from video.muxing import fragment_options
from video.size_note import write_size_note
from video.unseekable_stream import UnseekableStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction
    from pathlib import Path

__all__ = ["FragmentFile"]

_SYNC_SECONDS = 1.0


class FragmentFile(Closing):
    """Packets in a file, each in a fragment of its own that is written at once.

    FFmpeg's muxers hold a fragment back until the packet after it comes, which from a program that
    is slow may take its time. So each is made by a muxer of its own, of which all but the first
    leave their header out. That takes 0.4 ms a packet, and 100 bytes. What was written is on the
    disk a second later, whatever becomes of the machine.

    Args:
        path: a file that exists, and is empty.
        container_format: FFmpeg's name of the container: mp4, mov, matroska or webm.
        template: the stream of the encoder, of a container whose header is written.
        time_base: seconds of a tick of the packets.
        noted_size: the true size, in pixels, of what was padded.
        clock: seconds.
    """

    def __init__(
        self,
        path: Path,
        container_format: str,
        template: av.VideoStream,
        *,
        time_base: Fraction,
        noted_size: tuple[int, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._format, self._template, self._noted_size = container_format, template, noted_size
        self._time_base, self._clock = time_base, clock
        self._number = self._end = 0
        self._file = path.open("r+b", buffering=0)
        self._synced = clock()

    def write(self, packet: av.Packet[Any]) -> None:
        """Add a packet. Where that fails, the file is what it was before."""
        header, fragment = self._fragment(packet)
        data = memoryview(fragment if self._number else header + fragment)
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError:
            self._file.truncate(self._end)
            raise
        self._end = self._file.tell()
        self._number += 1
        if self._clock() - self._synced >= _SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced = self._clock()

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self._file.close()

    def _fragment(self, packet: av.Packet[Any]) -> tuple[bytes, bytes]:
        """A packet in a file of its own: its header, and the rest."""
        made = io.BytesIO()
        options = fragment_options(self._format, self._number)
        with av.open(
            UnseekableStream(made), "w", format=self._format, container_options=options
        ) as container:
            if self._noted_size is not None:
                write_size_note(container, *self._noted_size)
            stream = container.add_stream_from_template(self._template, opaque=True)
            stream.time_base = self._time_base
            stream.codec_context.codec_tag = self._template.codec_context.codec_tag
            container.start_encoding()
            header_bytes = made.tell()
            packet.stream = stream
            container.mux(packet)
        whole = made.getvalue()
        return whole[:header_bytes], whole[header_bytes:]
