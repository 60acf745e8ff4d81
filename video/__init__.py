"""Frames in and out of files: uint8 (H, W, 3) RGB arrays and exact rates, nothing else.

Importing this is cheap: FFmpeg and OpenCV are loaded when a name that needs them is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from video.codecs import CODECS, CONTAINERS, Codec, choose_codec
from video.errors import InputError, OutputError, OutputExistsError, TaesdStreamError
from video.rates import parse_rate
from video.spec import ColorTags, VideoSpec

if TYPE_CHECKING:
    from video.images import read_image, write_image
    from video.joining import join_segments
    from video.opening import FrameReader, open_reader, open_writer
    from video.options import VideoOptions
    from video.segments import SegmentedWriter, Segments
    from video.sequence import ImageSequenceReader, ImageSequenceWriter, read_sequence
    from video.sink import Sink
    from video.video_reader import Frame, VideoReader
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

_MODULE_OF = {
    "Frame": "video_reader",
    "FrameReader": "opening",
    "ImageSequenceReader": "sequence",
    "ImageSequenceWriter": "sequence",
    "SegmentedWriter": "segments",
    "Segments": "segments",
    "Sink": "sink",
    "VideoOptions": "options",
    "VideoReader": "video_reader",
    "VideoWriter": "video_writer",
    "YuvFormat": "yuv",
    "YuvFrame": "yuv",
    "join_segments": "joining",
    "luma_weights": "yuv",
    "open_reader": "opening",
    "open_writer": "opening",
    "read_image": "images",
    "read_sequence": "sequence",
    "write_image": "images",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
