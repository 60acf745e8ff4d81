"""A container that is being written: packets of pictures and of sound, to a file or a stream."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from video.audio import AudioTrack
from video.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from av.container import OutputContainer

    from video.unseekable_stream import UnseekableStream

__all__ = ["Muxer", "fragment_options"]

_OPTIONS = {
    "mp4": {"movflags": "+faststart+write_colr"},
    "mov": {"movflags": "+faststart+write_colr"},
    # Without random numbers, so that the same frames make the same file.
    "matroska": {"fflags": "+bitexact"},
    "webm": {"fflags": "+bitexact"},
    "gif": {"loop": "0"},
    "webp": {"loop": "0"},
}

# MP4 has a few names of its own for what is said of a file; this lets it keep others.
_ANY_NAMES = "+use_metadata_tags"

_FRAGMENTED_MP4 = {
    "movflags": "+empty_moov+default_base_moof+frag_discont+skip_trailer+write_colr",
    "use_editlist": "0",
}
_FRAGMENTED_MATROSKA = {"fflags": "+bitexact", "live": "1"}


def fragment_options(container_format: str, number: int) -> dict[str, str]:
    """Options for fragment ``number``, from 0, of a video that is written piece by piece.

    Its times are those of its packets, and what is written of the header goes out before them.
    """
    options = {"flush_packets": "1", "avoid_negative_ts": "disabled"}
    if container_format in ("mp4", "mov"):
        return {**options, **_FRAGMENTED_MP4, "fragment_index": str(number + 1)}
    return {**options, **_FRAGMENTED_MATROSKA}


class Muxer(Closing):
    """A container for one stream of pictures, and the sound that goes along with them.

    ``open`` it, add the stream of pictures to what that returns, ``attach_audio``, ``write`` and
    ``finish``. Closing one that is not finished leaves a file that is to be removed.

    Args:
        container_format: FFmpeg's name of the container.
        audio: a file whose first audio stream goes along.
        audio_start: the seconds of it to leave out.
        metadata: names and texts that the file keeps.

    Raises:
        InputError: if the audio cannot be read, or does not fit the container.
    """

    def __init__(
        self,
        container_format: str,
        audio: str | PathLike[str] | None,
        audio_start: Fraction = Fraction(0),
        metadata: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> None:
        self._format = container_format
        self._metadata = dict(metadata)
        self._audio = None
        if audio is not None:
            self._audio = AudioTrack(Path(audio), container_format, audio_start)
        self._container: OutputContainer | None = None

    def open(self, target: Path | UnseekableStream) -> OutputContainer:
        """Begin the container at ``target``."""
        file = f"file:{target.absolute()}" if isinstance(target, Path) else target
        options = dict(_OPTIONS[self._format])
        if self._metadata and "movflags" in options:
            options["movflags"] += _ANY_NAMES
        self._container = av.open(file, "w", format=self._format, container_options=options)
        self._container.metadata.update(self._metadata)
        return self._container

    def attach_audio(self) -> None:
        """Add the stream of sound behind that of the pictures, if there is to be one."""
        if self._audio is not None and self._container is not None:
            self._audio.attach(self._container)

    def write(self, packets: Iterable[av.Packet[Any]], end_seconds: Fraction) -> None:
        """Write packets of pictures, and the sound until ``end_seconds``, where these end."""
        self._mux(packets)
        if self._audio is not None:
            self._mux(self._audio.advance(end_seconds))

    def finish(self, packets: Iterable[av.Packet[Any]], end_seconds: Fraction) -> None:
        """Write the last packets of a video of ``end_seconds``, its sound, and the trailer."""
        self._mux(packets)
        if self._audio is not None:
            self._mux(self._audio.finish(end_seconds))
        if self._container is not None:
            self._container.close()
            self._container = None

    def close(self) -> None:
        """Let go of the files; what goes wrong with an unfinished one is of no interest."""
        if self._container is not None:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()
            self._container = None
        if self._audio is not None:
            self._audio.close()

    def _mux(self, packets: Iterable[av.Packet[Any]]) -> None:
        for packet in packets:
            if self._container is not None:
                self._container.mux(packet)
