"""Some latents of a video that is encoded: the frames they need, and no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from torch import Tensor

from taesd_stream.engine.coder import Coder
from taesd_stream.engine.streams.decode_stream import Frame
from taesd_stream.engine.streams.encode_stream import EncodeStream
from tiling import Interval

__all__ = ["EncodeWindow"]


@dataclass(frozen=True, slots=True)
class EncodeWindow:
    """Latents that are wanted of a video, and the frames to encode for them.

    Attributes:
        frames: Their numbers, from as far back as the encoder remembers.
        skipped: Latents of these frames that come before those that are wanted.
        count: How many are wanted.
        ends: Whether the last frame is that of the video.
    """

    frames: range
    skipped: int
    count: int
    ends: bool

    @classmethod
    def of(cls, coder: Coder, latents: range, total: int) -> EncodeWindow:
        """The window of latents in a row.

        Args:
            coder: The encoder.
            latents: Their numbers.
            total: Frames of the whole video.

        >>> from taesd_stream import load
        >>> from taesd_stream.engine.loaded_model import coder_of
        >>> encoder = coder_of(load("nano", device="cpu"), "encode")
        >>> EncodeWindow.of(encoder, range(3, 5), total=9)
        EncodeWindow(frames=range(3, 5), skipped=0, count=2, ends=False)
        """
        timing, network = coder.spec.encode_timing, coder.network
        if timing.group is None:
            back = network.reads_steps(Interval(latents.start, latents.start + 1)).start
            begun = max(0, back // timing.shrink) if network.sees_other_steps else latents.start
            frames = range(begun * timing.shrink, min(total, latents.stop * timing.shrink))
            return cls(frames, latents.start - begun, len(latents), frames.stop == total)
        of_group = (timing.group + timing.zeros) // timing.shrink
        first, last = latents.start // of_group, (latents.stop - 1) // of_group
        frames = range(first * timing.group, min(total, (last + 1) * timing.group))
        skipped = latents.start - first * of_group
        return cls(frames, skipped, len(latents), frames.stop == total)

    def encoded(self, stream: EncodeStream, images: Iterable[Frame]) -> Iterator[Tensor]:
        """The latents that are wanted.

        Args:
            stream: A new one of the encoder.
            images: The frames of the window, (H, W, 3) bytes.
        """
        made = stream.encode(images) if self.ends else stream.encode_part(images)
        return islice(made, self.skipped, self.skipped + self.count)
