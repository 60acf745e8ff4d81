"""Carries packets to a server or an HLS folder, in a process of its own: ``python -m`` this.

FFmpeg connects and says goodbye while it holds Python's lock, and waits for a server as long as
that likes. In here nobody else waits for the lock, and the process ends when a server takes too
long. It gets a line of JSON, then packets, each behind ``HEADER``, and answers each with a line:
empty, or the reason why it could not be carried.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import socket
import struct
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import IO, TYPE_CHECKING, Any, Final

import av

from video.errors import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from av.container import OutputContainer

__all__ = ["DONE", "HEADER", "RelayJob"]

HEADER: Final = struct.Struct("<qqqI")
"""Of a packet: its time and its duration in ticks, whether it is a key frame, and its bytes."""

DONE: Final = "done"
"""The answer to the end of all packets."""


@dataclass(frozen=True, slots=True)
class RelayJob:
    """What is carried, and where to.

    Attributes:
        target: As FFmpeg takes it.
        host: A name that must be known.
        muxer: FFmpeg's name of the container.
        options: Of the muxer.
        codec: FFmpeg's name of it.
        width, height: Pixels, as coded.
        rate: Frames per second that are to be expected, as text.
        ticks_per_second: Of the times of packets.
        patience: Seconds that a server may take for anything.
    """

    target: str
    host: str | None
    muxer: str
    options: Mapping[str, str]
    codec: str
    width: int
    height: int
    rate: str
    ticks_per_second: int
    patience: float

    def line(self) -> bytes:
        """The job as a line that ``read`` takes."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> RelayJob:
        """The job of a line."""
        return cls(**json.loads(line))

    def open(self) -> tuple[OutputContainer, av.VideoStream]:
        """A container that connects when it gets its first packet, and its stream."""
        container = av.open(
            self.target, "w", format=self.muxer, container_options=dict(self.options)
        )
        stream = container.add_mux_stream(
            self.codec,
            rate=Fraction(self.rate),
            width=self.width,
            height=self.height,
            time_base=Fraction(1, self.ticks_per_second),
        )
        assert isinstance(stream, av.VideoStream)
        return container, stream


def _packets(
    source: IO[bytes], stream: av.VideoStream, ticks_per_second: int
) -> Iterator[av.Packet[Any]]:
    while len(header := source.read(HEADER.size)) == HEADER.size:
        pts, duration, is_key, size = HEADER.unpack(header)
        packet = av.Packet(source.read(size))
        packet.stream = stream
        packet.time_base = Fraction(1, ticks_per_second)
        packet.pts = packet.dts = pts
        packet.duration, packet.is_keyframe = duration, bool(is_key)
        yield packet


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """End the process if the block takes longer, whatever it waits for and locks."""
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _reason(error: Exception) -> str:
    """Why something failed, without FFmpeg's own words, which tell whole addresses."""
    text = error.strerror if isinstance(error, OSError | av.FFmpegError) else str(error)
    return first_line(Exception(text)) if text else type(error).__name__


def relay(source: IO[bytes], answers: IO[bytes]) -> None:
    """Do the job that ``source`` tells, packet by packet."""
    job = RelayJob.read(source.readline())
    try:
        if job.host is not None:
            with _at_most(job.patience):
                socket.getaddrinfo(job.host, None)  # FFmpeg does not say that this is what failed
        container, stream = job.open()
        for packet in _packets(source, stream, job.ticks_per_second):
            with _at_most(job.patience):
                container.mux(packet)
            answers.write(b"\n")
            answers.flush()
        with _at_most(job.patience):
            container.close()
        answers.write(f"{DONE}\n".encode())
    except Exception as error:
        answers.write(f"{_reason(error)}\n".encode())
    answers.flush()
    os._exit(0)  # else FFmpeg would say goodbye once more, to a server that may be gone


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    relay(sys.stdin.buffer, sys.stdout.buffer)
