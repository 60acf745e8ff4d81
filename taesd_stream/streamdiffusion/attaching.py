"""The engine attached to a pipeline of StreamDiffusion: ``attach``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fractions import Fraction
from types import TracebackType
from typing import Any, Literal, Self

import torch

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.options import ModelOptions, Overlap, Tile, TileOptions
from taesd_stream.errors import InputError
from taesd_stream.jobs.model_for_latents import Model, load_model
from taesd_stream.models import variant_named
from taesd_stream.models.spec import ModelSpec
from taesd_stream.models.variants_of_vae import channels_of_vae, choices, variants_of_vae
from taesd_stream.sinks import Target
from taesd_stream.streamdiffusion.frame_tap import FrameTap
from taesd_stream.streamdiffusion.stream_vae import StreamVAE

__all__ = ["Attached", "attach"]

_log = logging.getLogger("taesd_stream")


def attach(
    stream: Any,
    model: Model,
    *,
    sinks: Sequence[Target] = (),
    fps: str | int | float | Fraction | Literal["live"] = "live",
    variant: str | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
    tile: Tile = "auto",
    overlap: Overlap = "exact",
    memory: int | str = "auto",
    threads: int | None = None,
) -> Attached:
    """Put the engine where a pipeline of StreamDiffusion has its VAE, and tap its frames.

    ``stream.vae`` is replaced; what ``stream`` returns is what it was, decoded by the model. With
    taesdv, which remembers, the frames of a stream are one smooth video. A model without an encoder
    leaves encoding to the VAE that was there.

    Args:
        stream: The ``StreamDiffusion``, of either fork; of a ``StreamDiffusionWrapper`` its
            ``stream``.
        model: What ``load`` takes, or a loaded model: "taesdv" or "taesd", and "taesdxl" for XL.
        sinks: What every frame goes to, once it is decoded for the pipeline: paths, functions of a
            frame, which are called in a thread of their own, and objects with ``write`` and
            ``close``, such as a ``VideoSink``, which are called with (3, H, W) in [0, 1] in the
            pipeline's thread. All are closed with what is returned here. One that fails is told of
            in the log, gets no more, and stops nothing.
        fps: Frames per second of videos at paths; "live" shows each frame when it came.
        variant: As of ``load``; so are ``dtype`` and ``backend``.
        device: "auto" is the pipeline's.
        tile, overlap, memory, threads: As of ``decode``.

    Returns:
        A context manager, which puts the VAE back at its end; so does its ``detach``.

    Raises:
        InputError: It is no such pipeline, the model does not fit its latents, or an option makes
            no sense; nothing is changed.
    """
    previous = _vae_of(stream)
    where = getattr(stream, "device", "auto") if device == "auto" else device
    ae = load_model(model, ModelOptions(variant, where, dtype, backend))
    _check_fit(stream, ae.spec)
    tap = FrameTap(sinks, fps)
    options = TileOptions(tile, overlap, memory, None, None, threads)
    vae = StreamVAE(ae, options, previous, getattr(stream, "dtype", torch.float32), tap.write)
    stream.vae = vae
    return Attached(stream, ae, vae, previous, tap)


class Attached:
    """The engine in a pipeline, until it is detached; made by ``attach``.

    Attributes:
        ae: The loaded model.
    """

    def __init__(
        self, stream: Any, ae: AutoEncoder, vae: StreamVAE, previous: Any, tap: FrameTap
    ) -> None:
        self.ae = ae
        self._stream, self._vae, self._previous, self._tap = stream, vae, previous, tap
        self._is_attached = True

    def reset(self) -> None:
        """Begin a new video with the next frame: nothing is remembered of those before."""
        self._vae.reset()

    def detach(self) -> None:
        """Put the pipeline's VAE back, and close the sinks; a second call does nothing."""
        if not self._is_attached:
            return
        self._is_attached = False
        if self._stream.vae is self._vae:
            self._stream.vae = self._previous
        else:
            _log.warning(
                "streamdiffusion: expected the VAE that was attached, found %s in its place, which"
                " is left there",
                type(self._stream.vae).__name__,
            )
        self._vae.reset()
        self._tap.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.detach()


def _vae_of(stream: Any) -> Any:
    """The pipeline's VAE.

    Raises:
        InputError: There is none that can be replaced.
    """
    vae, kind = getattr(stream, "vae", None), type(stream).__name__
    if isinstance(vae, StreamVAE):
        raise InputError(f"stream: expected {kind} without an engine, found one; detach it first")
    if vae is None or not hasattr(stream, "decode_image"):
        inner = getattr(stream, "stream", None)
        instead = "; give its .stream" if hasattr(inner, "decode_image") else ""
        raise InputError(
            f"stream: expected a StreamDiffusion, which decodes by its vae, found {kind}{instead}"
        )
    called = ("encode", "decode", "config")
    missing = [name for name in called if not hasattr(vae, name)]
    if missing or not hasattr(vae.config, "scaling_factor"):
        raise InputError(
            f"stream: expected a vae with encode, decode and config.scaling_factor, found"
            f" {type(vae).__name__} in {kind}; models for its latents: {choices(_channels(stream))}"
        )
    return vae


def _channels(stream: Any) -> int:
    """Of the pipeline's latents: those that its UNet takes, or its VAE."""
    config = getattr(getattr(stream, "unet", None), "config", None)
    found = getattr(config, "in_channels", None)
    return found or channels_of_vae(stream.vae) or 4


def _check_fit(stream: Any, spec: ModelSpec) -> None:
    """Refuse a model for other latents than the pipeline's.

    Raises:
        InputError: That.
    """
    channels, scale = _channels(stream), getattr(stream.pipe, "vae_scale_factor", 8)
    expected = f"{channels} channels, {scale} pixels and 1 frame per latent"
    if (spec.latent_channels, spec.spatial_scale, spec.temporal_scale) != (channels, scale, 1):
        raise InputError(
            f"model: expected one of {expected} for {type(stream).__name__}, found {spec.label} of"
            f" {spec.latent_channels} channels; models that fit: {choices(channels)}"
        )
    fitting = next(filter(None, map(variants_of_vae, (stream.pipe.vae, stream.vae))), [])
    if not fitting and getattr(stream, "is_sdxl", False):
        fitting = [variant_named("taesdxl")]
    if fitting and spec.space.name not in {each.space.name for each in fitting}:
        names = ", ".join(each.name for each in fitting)
        raise InputError(
            f"model: expected one for {fitting[0].space.name}, found {spec.name}, which is for"
            f" {spec.space.name}; models that fit: {names}"
        )
