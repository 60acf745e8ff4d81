"""Results of jobs: what a decode, or an encode, into a file has made."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.budget import peak_bytes
from taesd_stream.jobs.output import Output
from tiling import TilePlan, plural
from video.codecs import CONTAINERS

__all__ = ["Encoded", "Rendered", "encoded", "rendered"]

_KEEPERS = (
    ".png .webp .tif .npy .safetensors .webm keep it, and .mov with --codec prores4444 (codec= in"
    " Python)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A file, or files, that a job made, and what that took."""

    path: Path | str
    frames: int
    width: int
    height: int
    seconds: float
    peak_bytes: int
    plan: TilePlan
    notes: tuple[str, ...]

    def _json(self, **what: object) -> dict[str, object]:
        """The same as plain values; ``what`` describes the content."""
        return {
            "files": [os.fspath(self.path)],
            "frames": self.frames,
            **what,
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
            "plan": self.plan.to_json(),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered(_Made):
    """A file, or files, that ``render`` made.

    Attributes:
        path: The file, folder or pattern that was asked for; a string if it is an address.
        frames: How many were written.
        width: Of a frame, in pixels.
        height: Of a frame, in pixels.
        rate: Frames per second; None for a picture that was made in bands.
        seconds: How long it took, from the first latent to the finished file; 0 where it was
            complete already.
        peak_bytes: The most memory this process has held: on the GPU if it computed there.
        plan: How each picture was cut.
        notes: For the reader, such as a size that was padded.
    """

    rate: Fraction | None

    def __str__(self) -> str:
        what = "1 picture" if self.rate is None else plural(self.frames, self.plan.noun)
        if self.rate is not None and self._has_times:
            what += f" at {self.rate} fps"
        if not self.seconds:
            return f"{self.path} is complete already: {what}, {self.width}x{self.height}"
        speed = f"{self.frames / self.seconds:.2f} frames/s"
        if self.rate is None:
            speed = f"{self.width * self.height / 1e6 / self.seconds:.2f} megapixels/s"
        return f"{self.path}: {what}, {self.width}x{self.height}, {self.seconds:.1f} s, {speed}"

    @property
    def _has_times(self) -> bool:
        return self.path == Path("-") or Path(self.path).suffix.lower() in CONTAINERS

    def to_json(self) -> dict[str, object]:
        """The same as plain values; the rate is a fraction in text."""
        rate = None if self.rate is None else str(self.rate)
        return self._json(width=self.width, height=self.height, rate=rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded(_Made):
    """A file, or files, that ``encode_file`` made.

    Attributes:
        path: The file that was asked for; a string if it is an address.
        frames: How many pictures were encoded.
        latents: How many latents the file holds.
        channels: Of a latent.
        height: Of a latent.
        width: Of a latent.
        seconds: How long it took; 0 where it was complete already.
        peak_bytes: The most memory this process has held: on the GPU if it computed there.
        plan: How each picture was cut.
        notes: For the reader, such as values that were clipped.
    """

    latents: int
    channels: int

    def __str__(self) -> str:
        what = f"{plural(self.latents, 'latent')} of {self.channels} channels"
        source = "" if self.frames == self.latents else f", of {plural(self.frames, 'frame')}"
        what += f", {self.width}x{self.height}{source}"
        if not self.seconds:
            return f"{self.path} is complete already: {what}"
        return f"{self.path}: {what}, {self.seconds:.1f} s"

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return self._json(
            latents=self.latents, channels=self.channels, height=self.height, width=self.width
        )


def rendered(
    ae: AutoEncoder,
    output: Output,
    plan: TilePlan,
    start: float | None,
    *,
    frames: int = 1,
    notes: tuple[str, ...] = (),
) -> Rendered:
    """The result of a decode that ends now.

    Args:
        start: When it began, by ``time.perf_counter``; None where nothing was left to do.
    """
    return Rendered(
        path=output.path,
        frames=frames,
        width=plan.pixels.width,
        height=plan.pixels.height,
        rate=output.rate if plan.bands is None else None,
        seconds=0.0 if start is None else time.perf_counter() - start,
        peak_bytes=peak_bytes(ae.settings.device),
        plan=plan,
        notes=(*notes, *_about_alpha(ae, output)),
    )


def _about_alpha(ae: AutoEncoder, output: Output) -> tuple[str, ...]:
    """The remark about a model's transparency, where the file does not keep it."""
    transparency = output.transparency
    if transparency.is_kept or not ae.spec.has_alpha:
        return ()
    said = f"transparency was laid over {transparency.color_name}"
    return (said if output.background is not None else f"{said}: {_KEEPERS}",)


def encoded(
    ae: AutoEncoder,
    out: Path,
    plan: TilePlan,
    start: float | None,
    *,
    frames: int = 1,
    latents: int = 1,
    notes: tuple[str, ...] = (),
) -> Encoded:
    """The result of an encode that ends now; arguments as for ``rendered``."""
    return Encoded(
        path=out,
        frames=frames,
        latents=latents,
        channels=ae.spec.latent_channels,
        height=plan.latents.height,
        width=plan.latents.width,
        seconds=0.0 if start is None else time.perf_counter() - start,
        peak_bytes=peak_bytes(ae.settings.device),
        plan=plan,
        notes=notes,
    )
