"""What a decode into a file has made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from tiling import TilePlan
from video import CONTAINERS

__all__ = ["Rendered"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What ``render`` made.

    Attributes:
        path: The file, folder or pattern that was asked for.
        frames: How many were written.
        width: Of a frame, in pixels.
        height: Of a frame, in pixels.
        rate: Frames per second; None for a picture that was made in bands.
        seconds: How long it took, from the first latent to the finished file.
        peak_bytes: The most memory this process has held: on the GPU if it computed there.
        plan: How each picture was cut.
        notes: What the reader should know, such as a size that was padded.
    """

    path: Path
    frames: int
    width: int
    height: int
    rate: Fraction | None
    seconds: float
    peak_bytes: int
    plan: TilePlan
    notes: tuple[str, ...]

    def __str__(self) -> str:
        speed = f"{self.frames / self.seconds:.2f} frames/s"
        what = "1 frame" if self.frames == 1 else f"{self.frames} frames"
        if self.rate is None:
            what = "1 picture"
            speed = f"{self.width * self.height / 1e6 / self.seconds:.2f} megapixels/s"
        elif self.path == Path("-") or self.path.suffix.lower() in CONTAINERS:
            what += f" at {self.rate} fps"
        return f"{self.path}: {what}, {self.width}x{self.height}, {self.seconds:.1f} s, {speed}"

    def to_json(self) -> dict[str, object]:
        """The same as plain values; the rate is a fraction in text."""
        return {
            "files": [os.fspath(self.path)],
            "frames": self.frames,
            "width": self.width,
            "height": self.height,
            "rate": None if self.rate is None else str(self.rate),
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
            "plan": self.plan.to_json(),
            "notes": list(self.notes),
        }
