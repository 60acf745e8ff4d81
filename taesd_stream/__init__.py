"""Decode TAESD-family latents at any size and any length: exactly, in bounded memory.

>>> import taesd_stream as ts
>>> import torch
>>> ae = ts.load("latent2rgb", device="cpu")
>>> ae.decode(torch.zeros(1, 4, 6, 9)).shape
torch.Size([1, 3, 48, 72])
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING


def _check_own_packages() -> None:
    """Refuse a ``video.py`` or ``tiling.py`` of the user's, which would be imported for ours."""
    for name in ("tiling", "video"):
        found = find_spec(name)
        origin = None if found is None else found.origin
        if origin is None or Path(origin).parent.parent != Path(__file__).parent.parent:
            raise ImportError(
                f"taesd_stream: expected its own package {name!r}, found {origin or 'none'}, which"
                " hides it; rename that file or folder"
            )


_check_own_packages()

from taesd_stream.errors import (  # noqa: E402 (which imports video)
    CheckpointError,
    DownloadError,
    InputError,
    Interrupted,
    LatentsError,
    LayoutError,
    MissingExtraError,
    ModelNotFoundError,
    NonFiniteError,
    OutOfMemoryError,
    OutputError,
    OutputExistsError,
    TaesdStreamError,
)

if TYPE_CHECKING:
    from taesd_stream import diffusers as diffusers
    from taesd_stream import streamdiffusion as streamdiffusion
    from taesd_stream.engine import AutoEncoder
    from taesd_stream.engine.load import load
    from taesd_stream.engine.streams.decode_stream import DecodeStream
    from taesd_stream.engine.streams.encode_stream import EncodeStream
    from taesd_stream.engine.streams.picture_run import PictureRun
    from taesd_stream.engine.streams.video_run import VideoRun
    from taesd_stream.exporting.export import export
    from taesd_stream.exporting.exported import Exported
    from taesd_stream.jobs.decoding import render
    from taesd_stream.jobs.encoding import encode_file
    from taesd_stream.jobs.results import Encoded, Rendered
    from taesd_stream.latents import LatentSource, open_latents
    from taesd_stream.live import LiveClient, LivePage
    from taesd_stream.models import ModelSpec
    from taesd_stream.models.stream_state import StreamState
    from taesd_stream.sinks import VideoSink
    from tiling import TilePlan

__all__ = [
    "AutoEncoder",
    "CheckpointError",
    "DecodeStream",
    "DownloadError",
    "EncodeStream",
    "Encoded",
    "Exported",
    "InputError",
    "Interrupted",
    "LatentSource",
    "LatentsError",
    "LayoutError",
    "LiveClient",
    "LivePage",
    "MissingExtraError",
    "ModelNotFoundError",
    "ModelSpec",
    "NonFiniteError",
    "OutOfMemoryError",
    "OutputError",
    "OutputExistsError",
    "PictureRun",
    "Rendered",
    "StreamState",
    "TaesdStreamError",
    "TilePlan",
    "VideoRun",
    "VideoSink",
    "encode_file",
    "export",
    "load",
    "open_latents",
    "render",
]

_HOMES = {
    "AutoEncoder": "taesd_stream.engine",
    "DecodeStream": "taesd_stream.engine.streams.decode_stream",
    "EncodeStream": "taesd_stream.engine.streams.encode_stream",
    "LatentSource": "taesd_stream.latents",
    "LiveClient": "taesd_stream.live",
    "LivePage": "taesd_stream.live",
    "ModelSpec": "taesd_stream.models",
    "Encoded": "taesd_stream.jobs.results",
    "Exported": "taesd_stream.exporting.exported",
    "PictureRun": "taesd_stream.engine.streams.picture_run",
    "Rendered": "taesd_stream.jobs.results",
    "StreamState": "taesd_stream.models.stream_state",
    "TilePlan": "tiling",
    "VideoRun": "taesd_stream.engine.streams.video_run",
    "VideoSink": "taesd_stream.sinks",
    "encode_file": "taesd_stream.jobs.encoding",
    "export": "taesd_stream.exporting.export",
    "load": "taesd_stream.engine.load",
    "open_latents": "taesd_stream.latents",
    "render": "taesd_stream.jobs.decoding",
}

# Rooms for other programs, in no ``import *``: some need these programs.
_ROOMS = ("diffusers", "streamdiffusion")


def __getattr__(name: str) -> object:
    """Import torch, or a host, only when something that needs it is asked for."""
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
