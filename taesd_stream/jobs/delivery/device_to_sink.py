"""The way of frames from the device that computes them to the sink that writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TypeAlias

import torch
from torch import Tensor

from taesd_stream.jobs.delivery.rgb_to_yuv import YuvLayout, to_yuv420
from taesd_stream.jobs.delivery.transfer import Transfer
from video import VideoWriter, YuvFormat, YuvFrame, luma_weights
from video.background import WriteBehind, room_for
from video.sink import Sink

__all__ = ["Write", "delivery_to", "is_converted_there", "writing_behind"]

# A writer that is slower than the decoder for a moment catches up on these.
_MOST_WAITING = 4
_MOST_WAITING_BYTES = 64 << 20

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
    if isinstance(sink, VideoWriter) and sink.yuv_format is not None and is_converted_there(device):
        return _planes_to(sink, sink.yuv_format)

    def deliver(image: Tensor) -> Write:
        transfer = Transfer([image])
        return lambda: sink.write(*transfer.arrays())

    return deliver


def _planes_to(writer: VideoWriter, wanted: YuvFormat) -> Callable[[Tensor], Write]:
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
        transfer = Transfer(to_yuv420(image, layout))
        return lambda: writer.write_yuv(YuvFrame(transfer.arrays()))

    return deliver


def writing_behind(closing: ExitStack, *, frame_bytes: int) -> WriteBehind[Write, None]:
    """A thread that writes frames while the next ones are computed.

    That needs no fewer threads for either: on two cores, with as many for PyTorch and as many as it
    likes for x264, 16 frames of 512x512 in one run took 1.00 (bfloat16) and 1.02 (float32) times
    as long as decoding and encoding one after the other, each measured alone; PyTorch cut to one
    thread took 1.47 times as long.

    Args:
        closing: What closes the sink. The thread takes it over, since a sink must not be closed by
            one thread while it is written to by another.
    """

    def write(frames: Iterator[Write]) -> None:
        with closing.pop_all():
            for each in frames:
                each()

    room = room_for(frame_bytes, most_items=_MOST_WAITING, most_bytes=_MOST_WAITING_BYTES)
    return WriteBehind(write, most=room)
