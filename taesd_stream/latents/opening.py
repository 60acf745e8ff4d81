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
from taesd_stream.latents.packing import PACKED
from taesd_stream.latents.presented_source import PresentedSource
from taesd_stream.latents.read_options import LatentOptions, ReadOptions
from taesd_stream.latents.source import LatentSource
from taesd_stream.latents.tensors import open_content
from taesd_stream.latents.wrappers import without_wrapper
from taesd_stream.models.latent_spaces import Convention

__all__ = ["Latents", "open_latents", "open_with"]

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
    convention: Convention | None = None,
    size: tuple[int, int] | None = None,
    skip_latents: int = 0,
) -> LatentSource:
    """Open latents wherever they are; numbers are read when they are asked for, and only those.

    Numbers are handed out as they are stored; what decodes them converts them, if their
    convention, which the source tells, is not the model's own.

    Args:
        source: a path to a .pt, .pth, .pkl, .safetensors, .latent, .npy, .npz or 8-bit RGBA .png
            file (it is known by its bytes), or to a Zarr folder, array or group (known by its
            metadata; it needs ``pip install 'taesd-stream[gigapixel]'``); a folder of these, or a
            pattern such as ``z/%05d.png`` or ``z/**/*.pt``; a pattern such as
            ``tiles/{row}_{column}.npy``, whose files are one large latent; ``-`` for standard
            input, which is copied to a temporary file; an address of these but for a mosaic at
            ``s3://`` or ``gs://``, or of a file or a Zarr array at ``https://``, of which only what
            is asked for is fetched (it needs ``pip install 'taesd-stream[remote]'``); a tensor or
            an array; a list of these, one after the other in time; a mapping with such under a key,
            such as a pipeline's output; or an iterable of (C, h, w) tensors. What is in a pickle is
            read as data: nothing of it is ever run.
        layout: the stored axes, such as ``NCTHW``, or ``packed``; None tells them by the channel
            count, and where axes can be read two ways by a few of the numbers: latents that follow
            each other in time look alike, and neighbours in a plane do. What they told is logged.
        channels: the channel counts that they may have, such as the model's; None allows all that
            models have.
        key: which array of several; None takes ``latents``, ``samples``, or another name that
            pipelines and trainers use, or the only one that can be meant.
        convention: their scale: "model", as the diffusion model sees them, or "vae", as the full
            VAE's decode takes them. None is what the file says (ComfyUI's .latent does), or else
            what the model was loaded for, which is "model".
        size: height and width in pixels of the picture, where latents are packed into tokens,
            (N, tokens, features), and their number does not tell: it does for squares.
        skip_latents: how many to leave out at the start of each video: CogVideoX 1.5 puts padding
            there.

    Raises:
        LatentsError: there are no such latents, they cannot be read safely, or no axis has a
            channel count; the message says what to do.
        LayoutError: the axes can be read two ways and the numbers do not tell which either, or they
            are packed and the size, or for which model, is not known.
        MissingExtraError: a Zarr folder is to be read and zarr is not installed, or an address is
            given and what reads it is not.

    Example:
        >>> source = open_latents(torch.zeros(1, 4, 81, 60, 104))
        >>> source.layout, len(source), source[80].shape, source[10:20].shape
        ('N C T H W', 81, torch.Size([4, 60, 104]), torch.Size([10, 4, 60, 104]))
    """
    options = LatentOptions(layout, key, convention, size, skip_latents)
    wanted = [channels] if isinstance(channels, int) else channels
    return open_with(source, options, None if wanted is None else frozenset(wanted))


def open_with(
    source: Latents, options: LatentOptions, channels: frozenset[int] | None = None
) -> LatentSource:
    """``open_latents``, for callers who carry the options.

    Raises:
        LatentsError: as there.
    """
    is_packed = (options.layout or "").strip().lower() == PACKED
    layout = PACKED if is_packed else options.layout
    read = ReadOptions(layout, channels, options.key, size=options.size)
    opened = _opened(source, read)
    owns = opened is not source
    known_better = options.convention not in (None, opened.convention)
    if not known_better and not options.skip_latents:
        return opened
    return PresentedSource(
        opened, skip=options.skip_latents, convention=options.convention, owns=owns
    )


def _opened(source: Latents, options: ReadOptions) -> LatentSource:
    """The source of whatever holds latents, as it is."""
    if isinstance(source, LatentSource):
        require_channels(source.channels, options.channels, "latents")
        return source
    if isinstance(source, str | os.PathLike):
        return open_path(source, options)
    content = without_wrapper(source)
    if isinstance(content, torch.Tensor | np.ndarray | Mapping | list | tuple):
        return open_content(content, options, name="latents", kind="memory")
    if isinstance(source, Iterable) and not isinstance(source, bytes | bytearray):
        return IteratorSource(source, options, name="latents")
    raise LatentsError(
        f"expected a path, a tensor, an array, a list of tensors or an iterator of latents, "
        f"found {type(source).__name__}"
    )
