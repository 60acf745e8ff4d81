"""What frames are given to, one by one, by programs that go on running."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeGuard, runtime_checkable

from taesd_stream.errors import InputError
from taesd_stream.jobs.output import Output
from taesd_stream.sinks.callable_sink import CallableSink
from taesd_stream.sinks.camera_sink import CameraSink, is_camera
from taesd_stream.sinks.file_sink import FileSink
from taesd_stream.sinks.pacing import Pacing, Rate
from taesd_stream.sinks.publish_sink import PublishSink
from video.options import VideoOptions
from video.publishing.addresses import Address, is_address
from video.rates import parse_rate

__all__ = ["Sink", "Target", "as_sink", "is_sink"]


@runtime_checkable
class Sink(Protocol):
    """Takes frames until it is closed."""

    def write(self, frame: Any) -> None:
        """Take a frame: (H, W, 3) RGB bytes as a numpy array, or a tensor (3, H, W) of floats in
        [0, 1] on any device.
        """

    def close(self) -> None:
        """Finish; a second call does nothing."""


Target: TypeAlias = str | os.PathLike[str] | Callable[[Any], object] | Sink
"""A file or a folder, a server's address, a camera, a function of a frame, or a sink."""


def as_sink(target: Target, *, fps: Rate = 24) -> Sink:
    """A sink that writes to a target, in the thread that calls it.

    Args:
        target: The path of a video; a folder, or a name with ``%d``, for numbered pictures; a
            function that is called with each frame as an array (H, W, 3) of bytes; "camera" for a
            virtual camera, or "ndi:NAME", "spout:NAME" or "syphon:NAME"; the address of a streaming
            server, or an HLS playlist (.m3u8), which frames leave for at their times; or something
            that has ``write`` and ``close``, which is returned as it is.
        fps: Frames per second of a video or a camera.

    Raises:
        InputError: It is none of these, or nothing can be written there.
        MissingExtraError: A library for it is not installed.

    >>> import numpy as np
    >>> shapes = []
    >>> sink = as_sink(lambda frame: shapes.append(frame.shape))
    >>> sink.write(np.zeros((2, 4, 3), np.uint8)), shapes
    (None, [(2, 4, 3)])
    """
    if is_camera(target):
        return CameraSink(target, parse_rate(fps))
    if is_address(target):
        return PublishSink(Address.of(target), Pacing(fps), VideoOptions(parse_rate(fps)))
    if isinstance(target, str | os.PathLike):
        return FileSink(Output(target, fps), Pacing(fps))
    if is_sink(target):
        return target
    if callable(target):
        return CallableSink(target)
    raise InputError(
        "target: expected a path, a function of a frame, or something with write and close; found"
        f" {type(target).__name__}"
    )


def is_sink(target: Target) -> TypeGuard[Sink]:
    """Whether it takes frames itself; files that are open for writing do not."""
    return isinstance(target, Sink) and not isinstance(target, io.IOBase)
