"""Traits and packets of a finished video that is to be joined to others: read, never decoded."""

from __future__ import annotations

import zlib
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from video.demux import open_input
from video.errors import InputError
from video.size_note import read_size_note

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from av.container import InputContainer

__all__ = ["Segment", "check_alike", "numbered_packets", "opened_segment", "read_segment"]

# Matroska counts nanoseconds for a frame; 24 and 24000/1001 are ten times as far from each other.
_RATE_TOLERANCE = Fraction(1, 10_000)
_CLOCK_SECONDS = Fraction(2, 1000)


@dataclass(frozen=True, slots=True)
class Segment:
    """A video that can be joined to others.

    ``traits``: what all of them must share, in words or bytes.
    ``frames``: how many there are.
    ``delay``: by how many frames decoding has to be ahead of showing.
    """

    path: Path
    traits: Mapping[str, object]
    frames: int
    delay: int


def read_segment(path: Path, rate: Fraction) -> Segment:
    """Go through the packets of the video ``path``, whose frame ``i`` is shown at ``i / rate``.

    The other of the two is ``opened_segment``, for those who want its packets, too.

    Raises:
        InputError: if it is no such video, is damaged or cut short, or cannot be joined to
            others since it does not begin with a key frame.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from video.video_writer import VideoWriter
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with VideoWriter(f"{folder}/a.mkv", width=32, height=16, rate=24) as writer:
        ...         for _ in range(3):
        ...             writer.write(np.zeros((16, 32, 3), np.uint8))
        ...     segment = read_segment(Path(folder, "a.mkv"), Fraction(24))
        >>> segment.frames, segment.traits["codec"], segment.traits["size"]
        (3, 'h264', '32x16')
    """
    with opened_segment(path, rate) as (segment, _):
        return segment


@contextmanager
def opened_segment(path: Path, rate: Fraction) -> Iterator[tuple[Segment, InputContainer]]:
    """The same, and the file that it was read from, at its first packet again.

    Raises:
        InputError: as ``read_segment``.
    """
    with closing(open_input(path)) as source:
        traits = _traits(source, path)
        _check_rate(source, path, rate)
        numbers: list[int] = []
        for packet, number in numbered_packets(source, path, rate):
            if not numbers and not packet.is_keyframe:
                raise InputError(
                    f"expected a key frame at the beginning of '{path}'; found another"
                )
            numbers.append(number)
        _check_count(source, path, numbers, rate)
        delay = max(order - number for order, number in enumerate(numbers))
        source.seek(0, stream=source.streams.video[0])
        yield Segment(path, traits, len(numbers), delay), source


def numbered_packets(
    source: InputContainer, path: Path, rate: Fraction
) -> Iterator[tuple[av.Packet[Any], int]]:
    """The pictures' packets in the order of decoding, each with the number of its frame.

    Raises:
        InputError: for a packet that is damaged, or not at the time of a frame.
    """
    try:
        for packet in source.demux(source.streams.video[0]):
            if not packet.size:
                continue
            if packet.pts is None or packet.is_corrupt:
                raise InputError(f"'{path}' cannot be joined: it is damaged; make it anew")
            seconds = packet.pts * packet.time_base
            number = round(seconds * rate)
            if abs(seconds - number / rate) > packet.time_base / 2:
                raise InputError(
                    f"expected {rate} frames per second in '{path}'; found one at"
                    f" {float(seconds):.6f} seconds"
                )
            yield packet, number
    except av.FFmpegError as error:
        raise InputError(f"'{path}' cannot be joined: {error.strerror}; make it anew") from error


def check_alike(first: Segment, other: Segment) -> None:
    """See that ``other`` can follow ``first``.

    Raises:
        InputError: if they differ, with the first difference.
    """
    for name, expected in first.traits.items():
        if other.traits[name] != expected:
            raise InputError(
                f"expected the {name} of '{other.path}' to be {_shown(expected)}, as of"
                f" '{first.path}'; found {_shown(other.traits[name])}: make both in the same way"
            )


def _shown(trait: object) -> str:
    if isinstance(trait, bytes):
        return f"{len(trait)} bytes (checksum {zlib.crc32(trait):08x})"
    return str(trait)


def _traits(source: InputContainer, path: Path) -> dict[str, object]:
    if not source.streams.video:
        raise InputError(f"expected a video in '{path}'; found no pictures in it")
    stream = source.streams.video[0]
    context = stream.codec_context
    tags = (context.color_range, context.colorspace, context.color_primaries, context.color_trc)
    return {
        "codec": context.codec.canonical_name,
        "size": f"{stream.width}x{stream.height}",
        "note of the true size": read_size_note(source) or "none",
        "pixel format": context.pix_fmt,
        "profile": stream.profile,
        "colour tags (range, matrix, primaries, transfer)": tuple(int(tag) for tag in tags),
        "decoder's set-up": bytes(context.extradata or b""),
    }


def _check_rate(source: InputContainer, path: Path, rate: Fraction) -> None:
    found = source.streams.video[0].average_rate
    if found and abs(found / rate - 1) > _RATE_TOLERANCE:
        raise InputError(f"expected {rate} frames per second in '{path}'; found {found}")


def _check_count(source: InputContainer, path: Path, numbers: list[int], rate: Fraction) -> None:
    """See that no frame is missing at the end, nor in between."""
    promised = source.streams.video[0].frames
    if not promised and source.duration is not None:
        seconds = Fraction(source.duration, av.time_base)
        off = abs(seconds - len(numbers) / rate)
        is_whole = off <= 1 / (2 * rate) + _CLOCK_SECONDS
        promised = len(numbers) if is_whole else round(seconds * rate)
    if not numbers or len(numbers) != promised:
        raise InputError(
            f"expected {promised} frames in '{path}'; found {len(numbers)}: it is not complete;"
            " make it anew"
        )
    if sorted(numbers) != list(range(len(numbers))):
        raise InputError(
            f"expected the frames 0 to {len(numbers) - 1} in '{path}', each once; found others"
        )
