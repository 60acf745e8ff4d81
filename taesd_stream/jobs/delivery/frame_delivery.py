"""Frames on their way to a sink, each written while the next is made."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import torch
from torch import Tensor

from taesd_stream.jobs.delivery.device_to_sink import Write, delivery_to, write_all
from taesd_stream.jobs.delivery.waiting import frames_that_wait, writing_behind
from tiling import Size
from video.background import WriteBehind
from video.sink import Sink

__all__ = ["FrameDelivery"]


@dataclass(slots=True)
class FrameDelivery:
    """Frames of one size, from the device that computes them to a sink.

    Attributes:
        device: The device.
        size: Of a frame, in pixels.
    """

    device: torch.device
    size: Size
    _writing: WriteBehind[Write, None] | None = field(default=None, init=False)

    @property
    def is_writing(self) -> bool:
        """Whether the thread that writes and closes the sink is at work."""
        return self._writing is not None and self._writing.is_running

    def carry_out(
        self,
        closing_sink: ExitStack,
        sink: Sink,
        frames_of: Callable[[Callable[[], None]], Generator[Tensor]],
    ) -> None:
        """Write all frames, and close the sink.

        Args:
            closing_sink: What closes the sink; it is taken over.
            sink: What they go to.
            frames_of: Makes frames, (H, W, 3) bytes on the device; it is given what raises the
                writer's error, if there is one, to be called often.
        """
        deliver = delivery_to(sink, self.device)
        most = frames_that_wait(self.size)
        with (
            writing_behind(closing_sink, write_all, most=most) as self._writing,
            closing(frames_of(self._writing.check)) as frames,
        ):
            for frame in frames:
                self._writing.put(deliver(frame))
