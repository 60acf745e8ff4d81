"""Executor, memory, pixels: from latents to pixels and back, within a budget."""

from taesd_stream.engine.autoencoder import AutoEncoder
from taesd_stream.engine.settings import Settings, resolve_settings

__all__ = ["AutoEncoder", "Settings", "resolve_settings"]
