"""Frames in and out of files: uint8 (H, W, 3) RGB arrays and exact rates, nothing else.

Importing this is cheap: FFmpeg and OpenCV are loaded when a name that needs them is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from video.codecs import CODECS, CONTAINERS, Codec, choose_codec
from video.errors import InputError, OutputError, OutputExistsError, TaesdStreamError
from video.frame_reader import Frame, FrameReader
from video.options import VideoOptions
from video.rates import parse_rate
from video.sink import Sink
from video.spec import ColorTags, VideoSpec

if TYPE_CHECKING:
    from video.images import read_image, write_image
    from video.joining import join_segments
    from video.opening import open_reader, open_writer
    from video.recording import RecordingWriter
    from video.segments import SegmentedWriter, Segments
    from video.sequence import ImageSequenceReader, ImageSequenceWriter, read_sequence
    from video.video_reader import VideoReader
    from video.video_writer import VideoWriter
    from video.yuv import YuvFormat, YuvFrame, luma_weights

__all__ = [
    "CODECS",
    "CONTAINERS",
    "Codec",
    "ColorTags",
    "Frame",
    "FrameReader",
    "ImageSequenceReader",
    "ImageSequenceWriter",
    "InputError",
    "OutputError",
    "OutputExistsError",
    "RecordingWriter",
    "SegmentedWriter",
    "Segments",
    "Sink",
    "TaesdStreamError",
    "VideoOptions",
    "VideoReader",
    "VideoSpec",
    "VideoWriter",
    "YuvFormat",
    "YuvFrame",
    "choose_codec",
    "join_segments",
    "luma_weights",
    "open_reader",
    "open_writer",
    "parse_rate",
    "read_image",
    "read_sequence",
    "write_image",
]

_LAZY = {
    "images": ("read_image", "write_image"),
    "joining": ("join_segments",),
    "opening": ("open_reader", "open_writer"),
    "recording": ("RecordingWriter",),
    "segments": ("SegmentedWriter", "Segments"),
    "sequence": ("ImageSequenceReader", "ImageSequenceWriter", "read_sequence"),
    "video_reader": ("VideoReader",),
    "video_writer": ("VideoWriter",),
    "yuv": ("YuvFormat", "YuvFrame", "luma_weights"),
}


def __getattr__(name: str) -> Any:
    for module, names in _LAZY.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
