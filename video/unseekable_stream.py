"""Streams that can be written to and not sought in: standard output, pipes, sockets."""

from __future__ import annotations

from typing import BinaryIO

__all__ = ["UnseekableStream"]


class UnseekableStream:
    """The part of a stream that a muxer may use: it can write, and cannot seek or close."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._muted = False

    def write(self, data: bytes) -> int:
        if not self._muted:
            self._stream.write(data)
        return len(data)

    def flush(self) -> None:
        self._stream.flush()

    def mute(self) -> None:
        """From now on nothing goes out."""
        self._muted = True
