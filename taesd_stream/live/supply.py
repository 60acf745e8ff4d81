"""What a page decodes: a file that it plays, or what is pushed to a model."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.options import ModelOptions, TileOptions
from taesd_stream.errors import InputError
from taesd_stream.jobs.decoding_run import PictureDecoding, open_decoding
from taesd_stream.jobs.model_for_latents import Model, load_model, open_with_model
from taesd_stream.jobs.output import Output
from taesd_stream.latents.read_options import LatentOptions
from video.closing import Closing

if TYPE_CHECKING:
    from taesd_stream.engine.streams.video_run import VideoRun
    from taesd_stream.latents.opening import Latents
    from taesd_stream.models.latent_spaces import Convention
    from taesd_stream.sinks.pacing import Rate

__all__ = ["Played", "Supply", "open_supply"]

# Latents are decoded as for a file of this kind; none is written.
_LIKE_A_VIDEO = "live.mp4"


@dataclass(frozen=True, slots=True)
class Played:
    """Latents that are played.

    Attributes:
        run: Decodes them, under one plan.
        rate: Frames per second.
        is_looped: Whether they are played again and again.
    """

    run: VideoRun
    rate: Fraction
    is_looped: bool


@dataclass(frozen=True)
class Supply(Closing):
    """What a page decodes.

    Attributes:
        title: In words.
        ae: The model; None where frames come from elsewhere.
        played: Latents that are played; None where others are pushed.
    """

    title: str
    ae: AutoEncoder | None = None
    played: Played | None = None
    _opened: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Close what was opened for it."""
        self._opened.close()


def open_supply(
    latents: Latents | None,
    model: Model | None,
    options: TileOptions,
    *,
    convention: Convention | None,
    frames: slice | None,
    fps: Rate | None,
    is_looped: bool,
) -> Supply:
    """Open latents, if there are any, and load the model.

    Raises:
        InputError: Either cannot be, they do not fit each other, or there is nothing to play.
    """
    if latents is None:
        _refuse_for_pushes(options, frames=frames, fps=fps, loop=is_looped or None)
        if model is None:
            return Supply("frames of a program")
        return Supply("latents as they are pushed", load_model(model, ModelOptions()))
    with ExitStack() as opened:
        reading = LatentOptions(convention=convention)
        source, ae = open_with_model(latents, model, reading=reading)
        if source is not latents:
            opened.enter_context(source)
        output = Output(_LIKE_A_VIDEO, fps)
        decoding = open_decoding(source, ae, options, output, frames)
        if isinstance(decoding, PictureDecoding):
            raise InputError(f"latents: expected several to play, found one of {source.name}")
        name = os.fspath(latents) if isinstance(latents, str | os.PathLike) else source.name
        played = Played(decoding.run, decoding.output.rate, is_looped)
        return Supply(os.path.basename(name) or name, ae, played, opened.pop_all())


def _refuse_for_pushes(options: TileOptions, **given: object) -> None:
    """Refuse options that only latents to play have a use for."""
    given |= {name: getattr(options, name) for name in ("crop", "wrap", "chunk", "seed")}
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{name}: expected none without latents to play, found {value!r}")
