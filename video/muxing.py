"""A container that is being written: frames and sound in, packets to a file or a stream."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from video.audio import AudioTrack
from video.encoding import StreamEncoder
from video.safe_files.part_file import write_faults

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

    from av.container import OutputContainer

    from video.codecs import Encoder
    from video.spec import VideoSpec
    from video.unseekable_stream import UnseekableStream

__all__ = ["MUXER_OPTIONS", "Muxer", "media_faults"]

MUXER_OPTIONS = {
    "mp4": {"movflags": "+faststart+write_colr"},
    "mov": {"movflags": "+faststart+write_colr"},
    # Without random numbers, so that the same frames make the same file.
    "matroska": {"fflags": "+bitexact"},
    "webm": {"fflags": "+bitexact"},
    "gif": {"loop": "0"},
    "webp": {"loop": "0"},
}


def media_faults(path: Path, work: str) -> contextlib.AbstractContextManager[None]:
    """Turn FFmpeg's errors and the system's into ours, which name ``path`` and the work."""
    return write_faults(path, work, av.FFmpegError)


class Muxer:
    """An encoder and perhaps an audio track in one container.

    Args:
        spec: what the video is to be.
        encoder: the encoder that makes it.
        container_format: FFmpeg's name of the container.
        audio: a file whose first audio stream goes along.

    Raises:
        InputError: if the audio cannot be read, or does not fit the container.
    """

    def __init__(
        self,
        spec: VideoSpec,
        encoder: Encoder,
        container_format: str,
        audio: str | PathLike[str] | None,
    ) -> None:
        self._spec, self._encoder, self._format = spec, encoder, container_format
        self._audio = None if audio is None else AudioTrack(Path(audio), container_format)
        self._container: OutputContainer | None = None

    def open(self, target: str | UnseekableStream, *, threads: int | None) -> None:
        """Begin the container at ``target``; 0 threads, or None, are as many as it likes."""
        options = dict(MUXER_OPTIONS.get(self._format, {}))
        container = av.open(target, mode="w", format=self._format, container_options=options)
        self._container = container
        width, height = self._spec.width, self._spec.height
        if self._spec.coded_size(self._encoder) != (width, height):
            container.metadata["comment"] = f"true size {width}x{height}"
        self.encoder = StreamEncoder(container, self._spec, self._encoder, threads=threads or 0)
        if self._audio is not None:
            self._audio.attach(container)

    def add(self, packets: Iterable[av.Packet[Any]], *, frames: int) -> None:
        """Write packets, and the sound of the first ``frames`` frames."""
        self._write(packets)
        if self._audio is not None:
            self._write(self._audio.advance(frames / self._spec.rate))

    def finish(self, *, frames: int) -> None:
        """Write all that is still inside, and the trailer, of a video of ``frames`` frames."""
        self._write(self.encoder.flush())
        if self._audio is not None:
            self._write(self._audio.finish(frames / self._spec.rate))
        if self._container is not None:
            self._container.close()

    def abandon(self) -> None:
        """Close what is open, of a file that is then removed: what goes wrong is of no interest."""
        if self._container is not None:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()
        self.release()

    def release(self) -> None:
        """Let go of the container, once it is closed, and of the audio's file."""
        self._container = None
        if self._audio is not None:
            self._audio.close()

    def _write(self, packets: Iterable[av.Packet[Any]]) -> None:
        for packet in packets:
            if self._container is not None:
                self._container.mux(packet)
