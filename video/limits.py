"""What a video will not be as it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from video.codecs import Encoder
    from video.spec import VideoSpec

__all__ = ["limits_of"]


def limits_of(spec: VideoSpec, encoder: Encoder, container_format: str) -> Iterator[str]:
    """Tell, a line each, in what the file will not be as it was asked for."""
    coded_width, coded_height = spec.coded_size(encoder)
    if (coded_width, coded_height) != (spec.width, spec.height):
        yield (
            f"{spec.codec.name} needs even sizes: {spec.width}x{spec.height} was padded to"
            f" {coded_width}x{coded_height} by repeating the last row or column"
        )
    if spec.lossless and encoder.is_rgb and container_format in ("mp4", "mov"):
        yield (
            f"lossless {spec.codec.name} is RGB, which phones, browsers and Windows will not play:"
            " for them leave --lossless out (lossless=False in Python)"
        )
    if container_format == "gif" and spec.rate > 50:
        yield f"many viewers slow GIFs down beyond 50 frames/s ({spec.rate})"
