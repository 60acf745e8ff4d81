"""The way of frames from the device that computes them to the sink that writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from taesd_stream.engine.device_copies import OwnStream, Transfer
from taesd_stream.jobs.delivery.rgb_to_yuv import YuvLayout, to_yuv420
from video import VideoWriter, YuvFormat, YuvFrame, luma_weights
from video.sink import Sink

__all__ = ["Write", "delivery_to", "is_converted_there", "write_all"]

Write: TypeAlias = Callable[[], None]
"""Waits for a frame's bytes and writes them."""


def is_converted_there(device: torch.device) -> bool:
    """Whether frames are converted to YUV where they were computed, before they are copied.

    On a GPU: half the bytes travel, and the host has enough to do with encoding. Not on a CPU:
    there swscale takes 2.4 ms for 512x512 pixels and PyTorch 2.0 ms on one thread, but swscale's
    run in the writing thread, while PyTorch's would hold up the decoding one; and where other
    programs are at work, PyTorch's threads wait for each other many times as long.
    """
    return device.type == "cuda"


def delivery_to(sink: Sink, device: torch.device) -> Callable[[Tensor], Write]:
    """A function that starts to copy a frame, (H, W, 3) bytes on ``device``, to write it later."""
    stream = OwnStream(device)
    if isinstance(sink, VideoWriter) and sink.yuv_format is not None and is_converted_there(device):
        return _planes_to(sink, sink.yuv_format, stream)

    def deliver(image: Tensor) -> Write:
        with stream.after(image):
            transfer = Transfer([image])
        return lambda: sink.write(*transfer.arrays())

    return deliver


def _planes_to(
    writer: VideoWriter, wanted: YuvFormat, stream: OwnStream
) -> Callable[[Tensor], Write]:
    kr, kb = luma_weights(wanted.tags.matrix)
    layout = YuvLayout(
        height=wanted.height,
        width=wanted.width,
        kr=kr,
        kb=kb,
        full_range=wanted.tags.full_range,
        interleaved=wanted.pixel_format == "nv12",
    )

    def deliver(image: Tensor) -> Write:
        with stream.after(image):
            transfer = Transfer(to_yuv420(image, layout))
        return lambda: writer.write_yuv(YuvFrame(transfer.arrays()))

    return deliver


def write_all(frames: Iterator[Write]) -> None:
    """Write frames in their order, each when its bytes have come."""
    for each in frames:
        each()
