"""What tests of videos in segments share: a moving pattern, and how it is written."""

from __future__ import annotations

import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from video import (
    SegmentedWriter,
    Segments,
    VideoOptions,
    VideoReader,
    VideoWriter,
)
from video.rates import parse_rate

# x265 reads memory never set where a picture does not fill its blocks of 64 pixels: at 96x64 it
# made two different files of the same frames, 5 and 7 times out of 12.
WIDTH, HEIGHT, FRAMES, EACH = 192, 128, 34, 8


KINDS = [
    ("a.mp4", "h264"),
    ("a.mp4", "h265"),
    ("a.mp4", "vp9"),
    ("a.mp4", "av1"),
    ("a.mov", "prores"),
    ("a.mkv", "h264"),
    ("a.mkv", "h265"),
    ("a.mkv", "ffv1"),
    ("a.webm", "vp9"),
    ("a.webm", "av1"),
]


Frames = NDArray[np.uint8]


def frames(width: int = WIDTH, height: int = HEIGHT, count: int = FRAMES) -> Frames:
    """A pattern that moves, so that encoders find a use for B-frames."""
    y, x = np.mgrid[:height, :width]
    moving = [(x * 5 + number * 9) % 256 for number in range(count)]
    colours = [np.stack([m, (y * 7) % 256, m // 2], axis=-1) for m in moving]
    return np.array(colours, np.uint8).reshape(count, height, width, 3)


class StopError(Exception):
    """What ends a run in the middle."""


def segmented(
    path: Path,
    folder: Path,
    size: tuple[int, int],
    *,
    segment_frames: int = EACH,
    first_segment: int = 0,
    on_segment: Callable[[int], None] = print,
    **options: object,
) -> SegmentedWriter:
    """A writer of frames of a width and height."""
    segments = Segments(folder, segment_frames, first_segment, on_segment)
    wanted = VideoOptions(parse_rate(options.pop("rate", 24)), **options)
    return SegmentedWriter(path, segments, width=size[0], height=size[1], options=wanted)


def write(
    path: Path,
    images: Frames,
    *,
    stop: BaseException | None = None,
    first_segment: int = 0,
    frames_there: int | None = None,
    **options: object,
) -> list[int]:
    """Write images from ``first_segment`` on; returns the counts of frames that were noted."""
    noted: list[int] = []
    folder = path.with_name("segments")
    folder.mkdir(exist_ok=True)
    wanted = {"on_segment": noted.append, "first_segment": first_segment, **options}
    there = first_segment * EACH if frames_there is None else frames_there
    with segmented(path, folder, images.shape[2:0:-1], **wanted) as writer:
        assert writer.frames_written == there
        for image in images[there:]:
            writer.write(image)
        if stop is not None:
            raise stop
    return noted


def plainly(path: Path, images: Frames, **options: object) -> Path:
    """The same frames by one VideoWriter."""
    wanted = {"rate": 24, **options}
    with VideoWriter(path, width=images.shape[2], height=images.shape[1], **wanted) as writer:
        for image in images:
            writer.write(image)
    return path


def packets_of(path: Path, kind: str = "video") -> list[av.Packet]:
    with av.open(str(path)) as source:
        return [packet for packet in source.demux(getattr(source.streams, kind)[0]) if packet.size]


def described(path: Path) -> dict[str, object]:
    """What a file says about its pictures."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        context = stream.codec_context
        fields = ("average_rate", "time_base", "width", "height", "profile", "frames", "duration")
        more = ("pix_fmt", "color_range", "colorspace", "color_primaries", "color_trc", "codec_tag")
        return {
            "container duration": source.duration,
            "metadata": dict(source.metadata),
            "codec": context.codec.canonical_name,
            "extradata": bytes(context.extradata or b""),
            **{field: getattr(stream, field) for field in fields},
            **{field: getattr(context, field) for field in more},
        }


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def sound(path: Path, seconds: int = 4) -> Path:
    """A tone, longer than the pictures."""
    tone = np.sin(np.arange(seconds * 16000) / 16000 * 2 * np.pi * 440) * 12000
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(tone.astype("<i2").tobytes())
    return path


def read(path: Path) -> tuple[list[Frames], list[Fraction]]:
    with VideoReader(path) as reader:
        found = list(reader)
    return [frame.image for frame in found], [frame.pts_seconds for frame in found]
