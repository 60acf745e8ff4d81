"""What an encode into a file has made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tiling import TilePlan, plural

__all__ = ["Encoded"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """What ``encode_file`` made.

    Attributes:
        path: The file that was asked for.
        frames: How many pictures were encoded.
        latents: How many latents the file holds.
        channels: Of a latent.
        height: Of a latent.
        width: Of a latent.
        seconds: How long it took.
        peak_bytes: The most memory this process has held: on the GPU if it computed there.
        plan: How each picture was cut.
        notes: What the reader should know, such as values that were clipped.
    """

    path: Path
    frames: int
    latents: int
    channels: int
    height: int
    width: int
    seconds: float
    peak_bytes: int
    plan: TilePlan
    notes: tuple[str, ...]

    def __str__(self) -> str:
        what = f"{plural(self.latents, 'latent')} of {self.channels} channels"
        source = "" if self.frames == self.latents else f", of {plural(self.frames, 'frame')}"
        return f"{self.path}: {what}, {self.width}x{self.height}{source}, {self.seconds:.1f} s"

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "files": [os.fspath(self.path)],
            "frames": self.frames,
            "latents": self.latents,
            "channels": self.channels,
            "height": self.height,
            "width": self.width,
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
            "plan": self.plan.to_json(),
            "notes": list(self.notes),
        }
