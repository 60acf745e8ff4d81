"""The files that latents go to, and what they keep of them beside the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from taesd_stream.engine import AutoEncoder
from taesd_stream.errors import InputError, Interrupted
from taesd_stream.jobs.delivery.interrupted import inode_of, what_is_left
from taesd_stream.latents import LatentWriter, open_latents, save_latents
from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.latents.writing.array_formats import LATENT_SUFFIXES
from taesd_stream.models import ModelSpec
from taesd_stream.models.latent_spaces import Convention
from video.rates import DEFAULT_RATE
from video.safe_files.numbering import NumberedFiles, is_pattern
from video.safe_files.part_file import check_output, exists_already

__all__ = [
    "KnownLatents",
    "LatentOutput",
    "check_channels",
    "check_count",
    "check_name",
    "convention_of",
    "is_stack",
    "write_latents",
]

_PICTURE = ".png"
_NUMBERS_ONLY = (".npy", _PICTURE)


@dataclass(frozen=True, slots=True)
class LatentOutput:
    """The place that latents go to.

    Attributes:
        path: The file, or a pattern of names.
        overwrite: Whether an existing file may be replaced.
        resume: Whether a run that was cut short is gone on with.
    """

    path: Path
    overwrite: bool = False
    resume: bool = False


@dataclass(frozen=True, slots=True)
class KnownLatents:
    """What is known of latents before they are made.

    Attributes:
        metadata: The facts that files keep.
        spec: The model that makes them.
    """

    metadata: LatentMetadata
    spec: ModelSpec

    @property
    def is_video(self) -> bool:
        """Whether they are those of a model for videos: ComfyUI has pictures in a batch."""
        return self.spec.temporal_scale > 1

    def lost_in(self, out: Path) -> tuple[str, ...]:
        """A remark on what a file does not keep, and a decode has to be told."""
        if out.suffix.lower() not in _NUMBERS_ONLY:
            return ()
        facts, scale = self.metadata, self.spec.spatial_scale
        options: list[str] = []
        if out.suffix.lower() == _PICTURE and self.spec.latent_channels != 4:
            options.append(f"--model {self.spec.name}")
        if facts.frames_per_second not in (None, Fraction(DEFAULT_RATE)):
            options.append(f"--fps {facts.frames_per_second}")
        if facts.size is not None and any(side % scale for side in facts.size):
            options.append(f"--crop 0,0,{facts.size[1]},{facts.size[0]}")
        if facts.convention == "vae":
            options.append("--convention vae")
        if not options:
            return ()
        return (
            f"{out.suffix} keeps numbers only, and no rate, size or convention: decode it with"
            f" {' '.join(options)} (keywords of these names in Python), or write .safetensors",
        )


def convention_of(out: Path, wanted: Convention | None) -> Convention | None:
    """The convention that a file is written in, where one is asked for or it has but one.

    Raises:
        InputError: They differ.
    """
    if out.suffix.lower() != ".latent":
        return wanted
    if wanted == "model":
        raise InputError(
            "convention: expected vae for .latent, which ComfyUI takes to be in the full VAE's"
            " scale, found model; leave it out, or write .safetensors"
        )
    return "vae"


def is_stack(out: Path) -> bool:
    """Whether it is one file of numbers, and not pictures."""
    return out.suffix.lower() in LATENT_SUFFIXES


def check_name(name: str, *, overwrite: bool) -> None:
    """Refuse an output that cannot be, before a model is loaded."""
    out = Path(name)
    if out.suffix.lower() not in (*LATENT_SUFFIXES, _PICTURE):
        raise InputError(
            f"output: expected a name ending in {', '.join(LATENT_SUFFIXES)} or {_PICTURE}, found"
            f" {name!r}"
        )
    if not is_pattern(out):
        check_output(out, overwrite=overwrite)
    elif not overwrite and (existing := NumberedFiles.of(out).existing()):
        raise exists_already(existing[0][1])


def check_channels(out: Path, ae: AutoEncoder) -> None:
    """Refuse a PNG for latents that it does not hold."""
    if out.suffix.lower() == _PICTURE and ae.spec.latent_channels % 4:
        raise InputError(
            f"output: {_PICTURE} holds latents of 4, 8, ... channels, and those of {ae.spec.name}"
            f" have {ae.spec.latent_channels}; write {out.stem}.safetensors"
        )


def check_count(out: Path, frames: int | None) -> None:
    """Refuse the name of one PNG for several latents."""
    if out.suffix.lower() == _PICTURE and frames not in (None, 1) and not is_pattern(out):
        raise InputError(
            f"output: {out} is one picture, and there are {frames} latents; write"
            f" {out.stem}_%05d{out.suffix}, or give --frames N (frames= in Python) for"
            " one"
        )


def write_latents(
    output: LatentOutput, latents: Iterator[Tensor], known: KnownLatents
) -> tuple[int, tuple[str, ...]]:
    """Write all latents, (C, h, w) each; how many, and what there is to say about them.

    Raises:
        OutputError: They could not be written.
        Interrupted: Ctrl-C; the message says what is left and where.
    """
    write = _write_stack if is_stack(output.path) else _write_pictures
    return write(output.path, latents, known, output.overwrite)


def _write_stack(
    out: Path, latents: Iterator[Tensor], known: KnownLatents, overwrite: bool
) -> tuple[int, tuple[str, ...]]:
    """Write all of them into one file."""
    inode_before = inode_of(out)
    writer = LatentWriter(
        out, metadata=known.metadata, is_video=known.is_video, overwrite=overwrite
    )
    try:
        with writer:
            for latent in latents:
                writer.write(latent)
    except KeyboardInterrupt as error:
        left = what_is_left(writer, out, inode_before, what="latents")
        raise Interrupted(f"interrupted; {left}") from error
    return writer.frames_written, ()


def _write_pictures(
    out: Path, latents: Iterator[Tensor], known: KnownLatents, overwrite: bool
) -> tuple[int, tuple[str, ...]]:
    """Write each latent as an 8-bit picture."""
    written = 0

    def counted() -> Iterator[Tensor]:
        nonlocal written
        for latent in latents:
            yield latent
            written += 1

    try:
        source = open_latents(counted(), channels=known.spec.latent_channels)
        saved = save_latents(out, source, overwrite=overwrite)
    except KeyboardInterrupt as error:
        left = "nothing is left behind"
        if written and is_pattern(out):
            files = NumberedFiles.of(out)
            first, last = files.file(0), files.file(written - 1)
            left = f"{written} finished pictures are kept, {first} to {last}"
        raise Interrupted(f"interrupted; {left}") from error
    clipped = f"{saved.clipped_values} values beyond what 8 bits hold were clipped"
    return saved.frames, (clipped,) if saved.clipped_values else ()
