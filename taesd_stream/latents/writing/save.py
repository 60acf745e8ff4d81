"""Latents from any source into a file of any kind."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from taesd_stream.errors import InputError
from taesd_stream.latents.formats.png_files import write_png
from taesd_stream.latents.opening import open_latents
from taesd_stream.latents.source import LatentSource
from taesd_stream.latents.writing.latent_writer import LatentWriter
from taesd_stream.models import variants_for
from video.safe_files.numbering import NumberedFiles, is_pattern

if TYPE_CHECKING:
    import torch

    from taesd_stream.latents.opening import Latents

__all__ = ["Saved", "save_latents"]

_log = logging.getLogger("taesd_stream")


@dataclass(frozen=True)
class Saved:
    """The outcome of ``save_latents``; ``clipped_values`` lay beyond what 8 bits can hold."""

    path: Path
    frames: int
    clipped_values: int = 0


def save_latents(
    path: str | os.PathLike[str],
    latents: Latents,
    *,
    dtype: torch.dtype | None = None,
    overwrite: bool = False,
) -> Saved:
    """Write latents to ``path`` in bounded memory.

    Args:
        path: a file of a kind that :class:`LatentWriter` makes, which keeps what the source says of
            the latents, but for .npy; ComfyUI's .latent takes them in the convention "vae". Or the
            name of an 8-bit .png, with %d or %05d in it for several (from 0): 4 k channels,
            clamped to [-3, 3] and rounded to steps of 6/255.
        latents: what ``open_latents`` takes, in a layout that can be told.
        dtype: what to store; None keeps theirs. A PNG has none.
        overwrite: whether existing files may be replaced.

    Raises:
        InputError: the suffix, the dtype or the latents do not fit, or a file exists.
        NonFiniteError: NaN or infinity cannot be in a PNG.

    A failure leaves no file; an interrupt leaves the PNGs that are complete, or what
    :class:`LatentWriter` keeps.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     saved = save_latents(f"{folder}/a.png", torch.full((4, 8, 8), 3.5))
        >>> saved.frames, saved.clipped_values
        (1, 256)
    """
    target = Path(path)
    with contextlib.ExitStack() as stack:
        source = open_latents(latents)
        if source is not latents:  # else it is the caller's, who may want to read on
            stack.enter_context(source)
        if target.suffix.lower() == ".png":
            if dtype is not None:
                raise InputError(
                    f"expected no dtype for a PNG, which has 8 bits, found {dtype}: leave it out"
                )
            return _save_pngs(target, source, overwrite=overwrite)
        is_video = _is_video(source)
        _check_kept(target, source, is_video=is_video)
        opened = LatentWriter(
            target, dtype=dtype, metadata=source.metadata, is_video=is_video, overwrite=overwrite
        )
        writer = stack.enter_context(opened)
        for latent in source:
            writer.write(latent)
    return Saved(target, writer.frames_written)


def _check_kept(target: Path, source: LatentSource, *, is_video: bool) -> None:
    """Say what a file does not keep of the source, or refuse to write it."""
    suffix = target.suffix.lower()
    if suffix == ".npy" and source.convention == "vae":
        _log.warning(
            "%s keeps no convention: decode it with --convention vae (convention= in Python)",
            target,
        )
    if suffix == ".latent" and is_video and source.clips > 1:
        raise InputError(
            f"expected one video for {target}, found {source.clips}: save each by itself, or write"
            " .safetensors"
        )


def _is_video(source: LatentSource) -> bool:
    """Whether latents follow each other in time, as far as their axes and their channels tell."""
    axes = source.layout.split()
    fitting = variants_for(source.channels)
    of_videos = bool(fitting) and all(each.timing.growth > 1 for each in fitting)
    return ("N" in axes and "T" in axes) or "T" in axes[1:] or of_videos


def _save_pngs(target: Path, source: LatentSource, *, overwrite: bool) -> Saved:
    if not is_pattern(target):
        first, *more = islice(source, 2)
        if more:
            raise InputError(
                f"expected one latent for {target}, found more: put %05d in the name for a sequence"
            )
        return Saved(target, 1, write_png(target, first, 0, overwrite=overwrite))
    files = NumberedFiles.of(target)
    written: list[Path] = []
    clipped = 0
    try:
        for index, latent in enumerate(source):
            file = files.file(index)
            clipped += write_png(file, latent, index, overwrite=overwrite)
            written.append(file)
    except Exception:
        for file in written:
            file.unlink(missing_ok=True)
        raise
    return Saved(target, len(written), clipped)
