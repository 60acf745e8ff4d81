"""Sources of latents, lazily opened, and writers of latents files."""

from taesd_stream.latents.checks import are_finite, check_finite, span_is_finite
from taesd_stream.latents.layouts import KNOWN_CHANNELS, infer_layout
from taesd_stream.latents.opening import Latents, open_latents
from taesd_stream.latents.source import LatentSource
from taesd_stream.latents.writing.latent_writer import LatentWriter
from taesd_stream.latents.writing.save import Saved, save_latents

__all__ = [
    "KNOWN_CHANNELS",
    "LatentSource",
    "LatentWriter",
    "Latents",
    "Saved",
    "are_finite",
    "check_finite",
    "infer_layout",
    "open_latents",
    "save_latents",
    "span_is_finite",
]
