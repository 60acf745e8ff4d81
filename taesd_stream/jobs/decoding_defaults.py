"""Defaults of a decode that latents themselves tell: the rate of their video, and its true size."""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import TileOptions
from taesd_stream.jobs.output import Output
from taesd_stream.latents import LatentSource
from taesd_stream.models import VARIANTS
from tiling import Size
from video.rates import MAX_RATE

__all__ = ["with_alpha_of", "with_audio_of", "with_rate_of", "with_size_of"]

_log = logging.getLogger("taesd_stream")


def with_rate_of(
    output: Output, source: LatentSource, ae: AutoEncoder, frames: slice | None
) -> Output:
    """The output at the rate of the video that the latents were made of, unless one was given.

    Where fewer frames are made than it had, there are fewer in a second, so that it lasts as long.
    """
    rate = source.metadata.frames_per_second
    if output.fps is not None or rate is None:
        return output
    step = frames.step if frames is not None and frames.step else 1
    rate = rate * _share_of_frames(ae) / abs(step)
    return replace(output, fps=rate) if rate <= MAX_RATE else output


def with_alpha_of(output: Output, ae: AutoEncoder) -> Output:
    """The output with alpha where the model makes it and the file keeps it."""
    return replace(output, alpha=ae.spec.has_alpha and output.holds_alpha)


def with_size_of(options: TileOptions, source: LatentSource, ae: AutoEncoder) -> TileOptions:
    """The options with a crop to the true size of the pictures, unless one was given.

    The last latents of a side may stand for fewer pixels than the others.
    """
    size = source.metadata.size
    if options.crop is not None or size is None or source.frames is None:
        return options
    plane = Size(source.height, source.width)
    made = coder_of(ae, "decode").network.out_plane(plane)
    true = Size(*size)
    scale = made.height // plane.height
    beyond = made.height - true.height, made.width - true.width
    if true == made or not all(0 <= each < scale for each in beyond):
        return options
    if options.overlap != "exact":
        _log.info(
            "the pictures were %s pixels, and blended tiles are not cropped: they are %s",
            true,
            made,
        )
        return options
    return replace(options, crop=(0, 0, true.width, true.height))


def with_audio_of(output: Output, numbers: range) -> Output:
    """The output with the sound of frames of these numbers."""
    if output.audio is None or not numbers.start:
        return output
    return replace(output, audio_start=numbers.start / (output.rate * abs(numbers.step)))


def _share_of_frames(ae: AutoEncoder) -> Fraction:
    """How many frames a model makes of one of the video: fewer where it makes fewer per latent."""
    full = next((each for each in VARIANTS if each.name == ae.spec.name), None)
    if full is None:
        return Fraction(1)
    return Fraction(ae.spec.temporal_scale, full.timing.growth)
