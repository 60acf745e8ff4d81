"""A frame on the page."""

from __future__ import annotations

from dataclasses import dataclass

from taesd_stream.sinks.frames import Frame, TakenFrame
from tiling import Size

__all__ = ["ShownFrame"]


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame on the page.

    Attributes:
        number: Counted from 0, of all that the page has shown.
        place: Its number in the file that is played; None of what was pushed.
        pixels: (H, W, 3) RGB bytes, not to be changed.
        at: When it came, or the latent that it was made of: seconds of ``time.monotonic``.
        shown_at: When it was handed to the viewers, by the same clock.
    """

    number: int
    place: int | None
    pixels: Frame
    at: float
    shown_at: float

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return Size(*self.pixels.shape[:2])

    def taken(self) -> TakenFrame:
        """It, as sinks take frames, at the time when it was shown."""
        return TakenFrame(self.size, self.shown_at, lambda: self.pixels)
