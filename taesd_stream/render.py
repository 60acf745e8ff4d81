"""From latents to a file: the one place where sources, engine and video files are joined."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from torch import Tensor

from taesd_stream.choosing import Model, open_with_model
from taesd_stream.engine.memory import peak_bytes
from taesd_stream.engine.planner import Overlap, Tile
from taesd_stream.errors import InputError, Interrupted
from taesd_stream.files import video_errors_as_ours
from taesd_stream.latents import LatentSource, check_finite
from taesd_stream.latents.opening import Latents
from taesd_stream.latents.stack_file import STACK_SUFFIXES, StackWriter
from taesd_stream.progress import FrameProgress
from tiling import TilePlan
from video import CONTAINERS, open_writer, parse_rate

__all__ = ["Rendered", "render"]

Frame = npt.NDArray[np.uint8]

_STILLS = (".png", ".jpg", ".jpeg")
_SUFFIXES = frozenset((*CONTAINERS, *STACK_SUFFIXES, *_STILLS))


@dataclass(frozen=True, slots=True)
class Rendered:
    """What ``render`` made.

    Attributes:
        path: The file, folder or pattern that was asked for.
        frames: How many were written.
        width: Of a frame, in pixels.
        height: Of a frame, in pixels.
        rate: Frames per second.
        seconds: How long it took, from the first latent to the finished file.
        peak_bytes: The most memory this process has held: on the GPU if it computed there.
        plan: How each picture was cut.
        notes: What the reader should know, such as a size that was padded.
    """

    path: Path
    frames: int
    width: int
    height: int
    rate: Fraction
    seconds: float
    peak_bytes: int
    plan: TilePlan
    notes: tuple[str, ...]

    def __str__(self) -> str:
        speed = f"{self.frames / self.seconds:.2f} frames/s"
        what = "1 frame" if self.frames == 1 else f"{self.frames} frames at {self.rate} fps"
        return f"{self.path}: {what}, {self.width}x{self.height}, {self.seconds:.1f} s, {speed}"

    def to_json(self) -> dict[str, object]:
        """The same as plain values; the rate is a fraction in text."""
        return {
            "files": [os.fspath(self.path)],
            "frames": self.frames,
            "width": self.width,
            "height": self.height,
            "rate": str(self.rate),
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
            "plan": self.plan.to_json(),
            "notes": list(self.notes),
        }


class _Sink(Protocol):
    """What writers of videos, pictures and arrays have in common."""

    frames_written: int
    kept_part: Path | None

    @property
    def notes(self) -> tuple[str, ...]: ...
    def write(self, frame: Frame, /) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


def render(
    latents: Latents,
    out: str | os.PathLike[str],
    *,
    model: Model | None = None,
    variant: str | None = None,
    layout: str | None = None,
    key: str | None = None,
    frames: slice | None = None,
    fps: str | int | float | Fraction = 24,
    tile: Tile = "auto",
    overlap: Overlap = "exact",
    memory: int | str = "auto",
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
    codec: str | None = None,
    crf: int | None = None,
    lossless: bool = False,
    audio: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: bool = False,
    on_plan: Callable[[TilePlan], None] = lambda plan: None,
) -> Rendered:
    """Decode latents into a video, pictures, or an array, in bounded memory.

    Args:
        latents: A path, "-", a tensor, or an iterator of (C, h, w); see ``open_latents``.
        out: .mp4 .mov .mkv .webm .gif .webp; .png .jpg for one still, or numbered pictures where
            the name holds %d or is a folder; .npy for uint8 (T, H, W, 3); .safetensors for uint8
            (T, 3, H, W) under the key "images"; "-" for Matroska on standard output.
        model: What ``load`` takes, or a loaded model; None is the official one for the channels.
        frames: Which latents, such as ``slice(10, 20)``; None is all.
        fps: Frames per second: 24, "24000/1001", "23.976", or a Fraction.
        audio: A file whose sound goes along.
        overwrite: Whether an existing file may be replaced.
        progress: Show a bar on standard error, if that is a terminal.
        on_plan: Told the plan before work starts.

    The other keywords are those of ``load``, ``AutoEncoder.decode`` and ``video.open_writer``.

    Raises:
        InputError: Something given is wrong; no file is left.
        OutputError: The output could not be written; no file is left.
        Interrupted: Ctrl-C; the message says what is left and where.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = render(torch.zeros(2, 4, 4, 6), f"{folder}/a.mp4", model="latent2rgb")
    ...     done.frames, done.width, done.height
    (2, 48, 32)
    """
    with video_errors_as_ours():
        rate = parse_rate(fps)
    source, ae = open_with_model(
        latents, model, variant=variant, layout=layout, key=key,
        device=device, dtype=dtype, backend=backend,
    )  # fmt: skip
    with source:
        chosen, count = _select(source, frames)
        options = _Options(tile=tile, overlap=overlap, memory=memory)
        plan = ae.plan((source.channels, source.height, source.width), frames=count, **options)
        height, width = plan.pixels.height, plan.pixels.width

        def open_sink() -> _Sink:
            if Path(out).suffix.lower() in STACK_SUFFIXES:
                return _ImageStack(out, overwrite=overwrite)
            return open_writer(
                out, width=width, height=height, rate=rate, codec=codec, crf=crf,
                lossless=lossless, audio=audio, overwrite=overwrite,
            )  # fmt: skip

        _check_name(Path(out), count)
        start = time.perf_counter()
        with FrameProgress(count, shown=progress) as bar:
            pictures = ae.stream(chosen, on_tile=bar.part, **options)
            sink = _write_all(pictures, open_sink, bar, lambda: on_plan(plan))
        return Rendered(
            path=Path(out),
            frames=sink.frames_written,
            width=width,
            height=height,
            rate=rate,
            seconds=time.perf_counter() - start,
            peak_bytes=peak_bytes(ae.settings.device),
            plan=plan,
            notes=sink.notes,
        )


def _check_name(out: Path, count: int | None) -> None:
    """Refuse a name that says nothing, or that of one picture for several, before any work."""
    suffix = out.suffix.lower()
    if suffix not in _SUFFIXES and suffix and not out.is_dir():
        raise InputError(
            f"output: expected a name ending in one of {' '.join(sorted(_SUFFIXES))}, a folder, or"
            f" - for standard output; found {str(out)!r}"
        )
    if suffix in _STILLS and count not in (None, 1) and "%" not in out.name and not out.is_dir():
        raise InputError(
            f"output: {out} is one picture, and there are {count} frames; write"
            f" {out.stem}_%05d{out.suffix} or a folder, or give --frames N for one"
        )


class _Options(TypedDict):
    tile: Tile
    overlap: Overlap
    memory: int | str


class _ImageStack(StackWriter):
    """Frames as one array of bytes: (T, H, W, 3) in .npy, (T, 3, H, W) in .safetensors."""

    notes: tuple[str, ...] = ()

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool) -> None:
        super().__init__(path, key="images", overwrite=overwrite)
        self._planar = self.path.suffix.lower() == ".safetensors"

    def write(self, frame: Frame | Tensor) -> None:
        """Append a frame, (H, W, 3) bytes."""
        pixels = torch.as_tensor(frame)
        super().write(rearrange(pixels, "h w c -> c h w") if self._planar else pixels)


def _select(source: LatentSource, frames: slice | None) -> tuple[Iterator[Tensor], int | None]:
    """The latents that were asked for, each checked under its own number, and how many."""
    total = source.frames
    wanted = slice(None) if frames is None else frames
    if total is None:
        start, stop, step = wanted.start or 0, wanted.stop, wanted.step or 1
        if min(start, stop or 0) < 0 or step < 1:
            raise InputError(
                f"frames: expected numbers from 0 up for latents of unknown length, found"
                f" {start}:{'' if stop is None else stop}"
            )
        numbered = islice(enumerate(source), start, stop, step)
        return (_checked(latent, index) for index, latent in numbered), None
    chosen = range(total)[wanted]
    if not chosen:
        raise InputError(
            f"frames: expected some of the {total} latents, found none in"
            f" {wanted.start or 0}:{'' if wanted.stop is None else wanted.stop}"
        )
    return (_checked(source[index], index) for index in chosen), len(chosen)


def _checked(latent: Tensor, index: int) -> Tensor:
    check_finite(latent, index)
    return latent


def _write_all(
    pictures: Iterator[Frame],
    open_sink: Callable[[], _Sink],
    bar: FrameProgress,
    on_open: Callable[[], None],
) -> _Sink:
    """Write every picture; on Ctrl-C say what is left."""
    sink: _Sink | None = None
    try:
        with video_errors_as_ours(), open_sink() as sink:
            on_open()
            for picture in pictures:
                sink.write(picture)
                bar.frame()
    except KeyboardInterrupt as error:
        raise Interrupted(_what_is_left(sink)) from error
    return sink


def _what_is_left(sink: _Sink | None) -> str:
    if sink is not None and sink.kept_part is not None:
        return (
            f"interrupted; the first {sink.frames_written} frames are in {sink.kept_part}, which"
            " can be opened"
        )
    kept = "; ".join(sink.notes) if sink is not None else ""
    return f"interrupted; {kept or 'nothing is left behind'}"
