"""The one way in: whatever holds latents becomes a ``LatentSource``."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from taesd_stream.errors import LatentsError
from taesd_stream.latents.checks import require_channels
from taesd_stream.latents.iterator_source import IteratorSource
from taesd_stream.latents.opening_paths import open_path
from taesd_stream.latents.read_options import ReadOptions
from taesd_stream.latents.source import LatentSource
from taesd_stream.latents.tensors import open_content

__all__ = ["Latents", "open_latents"]

Latents: TypeAlias = (
    str
    | os.PathLike[str]
    | torch.Tensor
    | NDArray[Any]
    | Mapping[str, Any]
    | Iterable[torch.Tensor]
    | LatentSource
)
"""Everything that can be opened as latents."""


def open_latents(
    source: Latents,
    *,
    layout: str | None = None,
    channels: int | Collection[int] | None = None,
    key: str | None = None,
) -> LatentSource:
    """Open latents wherever they are; numbers are read when they are asked for, and only those.

    Latents are taken to be what diffusers returns with ``output_type="latent"``, which is what
    TAESD wants. Nothing is scaled. ComfyUI's .latent files hold unscaled latents of the full VAE,
    to be multiplied by its scaling factor first (0.18215 for SD 1.x), except those from before
    they had the key ``latent_format_version_0``.

    Args:
        source: a path to a .pt, .pth, .safetensors, .latent, .npy, .npz or 8-bit RGBA .png file (it
            is known by its bytes), or to a Zarr folder, array or group (known by its metadata; it
            needs ``pip install 'taesd-stream[gigapixel]'``); a folder of these, or a pattern such
            as ``z/%05d.png``; a pattern such as ``tiles/{row}_{column}.npy``, whose files are one
            large latent; ``-`` for standard input, which is copied to a temporary file; a tensor
            or an array; a list of these, one after the other in time; a mapping with such under a
            key; or an iterable of (C, h, w) tensors.
        layout: the stored axes, such as ``NCTHW``; None tells them by the channel count, and where
            five axes can be read two ways by a few of the numbers: latents that follow each other
            in time look alike. What the numbers told is logged.
        channels: the channel counts that they may have, such as the model's; None allows all that
            models have.
        key: which array of several; None takes ``latents``, ``samples``, ``latent_tensor``, or the
            only one that can be meant.

    Raises:
        LatentsError: there are no such latents, they cannot be read safely, or no axis has a
            channel count; the message says what to do.
        LayoutError: the axes can be read two ways and the numbers do not tell which either.
        MissingExtraError: a Zarr folder is to be read and zarr is not installed.

    Example:
        >>> source = open_latents(torch.zeros(1, 4, 81, 60, 104))
        >>> source.layout, len(source), source[80].shape, source[10:20].shape
        ('N C T H W', 81, torch.Size([4, 60, 104]), torch.Size([10, 4, 60, 104]))
    """
    wanted = frozenset([channels]) if isinstance(channels, int) else channels
    options = ReadOptions(layout, None if wanted is None else frozenset(wanted), key)
    if isinstance(source, LatentSource):
        require_channels(source.channels, options.channels, "latents")
        return source
    if isinstance(source, str | os.PathLike):
        return open_path(source, options)
    if isinstance(source, torch.Tensor | np.ndarray | Mapping | list | tuple):
        return open_content(source, options, name="latents", kind="memory")
    if isinstance(source, Iterable) and not isinstance(source, bytes | bytearray):
        return IteratorSource(source, options, name="latents")
    raise LatentsError(
        f"expected a path, a tensor, an array, a list of tensors or an iterator of latents, "
        f"found {type(source).__name__}"
    )
