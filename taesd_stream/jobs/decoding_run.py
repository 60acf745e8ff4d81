"""The run that an output takes: one picture in bands, or frames one by one."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.budget import read_budget
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.running.planes import LatentPlane
from taesd_stream.engine.streams.frame_windows import chosen_frames
from taesd_stream.engine.streams.picture_run import PictureRun
from taesd_stream.engine.streams.video_run import VideoRun
from taesd_stream.errors import InputError
from taesd_stream.jobs.decoding_defaults import (
    with_alpha_of,
    with_audio_of,
    with_rate_of,
    with_size_of,
)
from taesd_stream.jobs.output import Output
from taesd_stream.jobs.resume.fingerprint import with_recorded_tile
from taesd_stream.latents import LatentSource, open_latents
from tiling import Size, plural

__all__ = ["READ_AHEAD", "FrameDecoding", "PictureDecoding", "open_decoding"]

_log = logging.getLogger("taesd_stream")

READ_AHEAD: Final = 64
"""Latents that may be read from a file before the frames of the first of them are written."""


@dataclass(frozen=True, slots=True)
class _Decoding:
    """Something that is to be decoded into a file.

    Attributes:
        ae: The model that decodes it.
        latents: The source of its latents.
        output: The place that it goes to, and how.
        options: How the work is cut into tiles, with a budget that was read.
    """

    ae: AutoEncoder
    latents: LatentSource
    output: Output
    options: TileOptions


@dataclass(frozen=True, slots=True)
class FrameDecoding(_Decoding):
    """Frames that are to be decoded into a file.

    Attributes:
        run: Decodes them, under one plan.
    """

    run: VideoRun


@dataclass(frozen=True, slots=True)
class PictureDecoding(_Decoding):
    """One picture that is to be decoded into a file, band by band.

    Attributes:
        run: Decodes it, under one plan.
        index: The number of its latent in the source.
    """

    run: PictureRun
    index: int


def open_decoding(
    source: LatentSource,
    ae: AutoEncoder,
    options: TileOptions,
    output: Output,
    frames: slice | None,
) -> FrameDecoding | PictureDecoding:
    """Open the run that makes an output, and with it the plan that is carried out.

    Free memory is read here, and once.

    Args:
        frames: Which frames; None is all.

    Raises:
        InputError: There are none of these frames, they do not go into such a file, or nothing fits
            the budget.
    """
    options = replace(options, memory=read_budget(options.memory, ae.settings.device))
    output = with_alpha_of(with_rate_of(output, source, ae, frames), ae)
    options = with_size_of(options, source, ae)
    if output.resume:
        options = with_recorded_tile(options, output)
    decoder = coder_of(ae, "decode")
    if _goes_in_bands(source, ae, options, output, frames):
        latents, index = _one_of(source, frames, output)
        plane = LatentPlane(latents, index, decoder.scale(None, source))
        run = PictureRun(decoder, plane, options)
        return PictureDecoding(ae, latents, output, options, run, index)
    if output.preview is not None or (output.resume and not output.is_segmentable):
        option = "resume" if output.preview is None else "preview"
        raise InputError(
            f"{option}: expected one picture that is made in bands, found {output.name} of"
            f" {ae.spec.name}; leave it out"
        )
    noun = "picture" if output.makes_pictures else "frame"
    video = VideoRun(decoder, source, options, frames=frames, ahead=READ_AHEAD, noun=noun)
    video = video.with_transparency(output.transparency)
    _say_what_is_made(source, ae, output, video)
    output = with_audio_of(output, video.numbers)
    return FrameDecoding(ae, source, output, options, video)


def _goes_in_bands(
    source: LatentSource,
    ae: AutoEncoder,
    options: TileOptions,
    output: Output,
    frames: slice | None,
) -> bool:
    """Whether what is asked for is one picture that is to be made band by band.

    It is for .tif, .ome.zarr and .dzi. Pictures as .png and arrays as .npy are where there is one
    and it has not enough room in memory as a whole, is to be resumed, or to be previewed.
    """
    decoder = coder_of(ae, "decode")
    if decoder.network.sees_other_steps or not output.kind.holds_rows:
        return False
    if output.kind.is_one_picture:
        return True
    count = source.frames
    wanted = 1 if count is None else len(chosen_frames(count, frames))
    if count is None or wanted != 1 or output.is_for_several:
        return False
    whole = decoder.network.out_plane(Size(source.height, source.width))
    budget = read_budget(options.memory, ae.settings.device)
    is_large = output.channels * options.view(whole).made(whole).area > budget.bytes // 4
    return output.resume or output.preview is not None or is_large


def _one_of(source: LatentSource, frames: slice | None, output: Output) -> tuple[LatentSource, int]:
    """The one latent that is wanted, in a source whose parts can be read."""
    if source.frames is not None:
        chosen = chosen_frames(source.frames, frames)
        if len(chosen) != 1:
            raise output.several(f"{len(chosen)} latents")
        return source, chosen[0]
    chosen = chosen_frames(None, frames)
    found = list(islice(source, chosen.start, min(chosen.stop, chosen.start + 2)))
    if len(found) != 1:
        raise output.several(f"{'several' if found else 'no'} latents")
    return open_latents(found[0], layout="CHW"), 0


def _say_what_is_made(source: LatentSource, ae: AutoEncoder, output: Output, run: VideoRun) -> None:
    """Say in one line whether several latents become pictures, or the frames of a video."""
    count, frames = source.frames, run.frame_count
    if count is None or frames is None or count < 2 or not output.makes_pictures:
        return
    made = f"{output.name}: {plural(frames, 'picture')}"
    if not coder_of(ae, "decode").network.sees_other_steps or source.clips == count:
        _log.info("%s, one for each latent; for a video write .mp4", made)
        return
    videos = "a video" if source.clips == 1 else f"{source.clips} videos"
    _log.info(
        "%s, the frames of %s of %d latents; if each latent is a picture, give --layout NCHW"
        " (layout= in Python)",
        made,
        videos,
        count,
    )
