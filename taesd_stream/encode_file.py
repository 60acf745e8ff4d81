"""From a video or pictures to a file of latents."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from taesd_stream.choosing import Model
from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.load import load
from taesd_stream.engine.memory import peak_bytes
from taesd_stream.engine.planner import Overlap, Tile
from taesd_stream.errors import InputError, Interrupted
from taesd_stream.files import video_errors_as_ours
from taesd_stream.latents import LatentWriter, save_latents
from taesd_stream.latents.stack_file import STACK_SUFFIXES
from taesd_stream.progress import FrameProgress
from tiling import TilePlan
from video import FrameReader, open_reader

__all__ = ["Encoded", "encode_file"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """What ``encode_file`` made.

    Attributes:
        path: The file that was asked for.
        frames: How many latents it holds.
        channels: Of a latent.
        height: Of a latent.
        width: Of a latent.
        seconds: How long it took.
        peak_bytes: The most memory this process has held: on the GPU if it computed there.
        plan: How each picture was cut.
        notes: What the reader should know, such as values that were clipped.
    """

    path: Path
    frames: int
    channels: int
    height: int
    width: int
    seconds: float
    peak_bytes: int
    plan: TilePlan
    notes: tuple[str, ...]

    def __str__(self) -> str:
        what = "1 latent" if self.frames == 1 else f"{self.frames} latents"
        shape = f"{self.channels} channels, {self.width}x{self.height}"
        return f"{self.path}: {what} of {shape}, {self.seconds:.1f} s"

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "files": [os.fspath(self.path)],
            "frames": self.frames,
            "channels": self.channels,
            "height": self.height,
            "width": self.width,
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
            "plan": self.plan.to_json(),
            "notes": list(self.notes),
        }


def encode_file(
    images: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: Model = "taesd",
    variant: str | None = None,
    frames: slice | None = None,
    tile: Tile = "auto",
    overlap: Overlap = "exact",
    memory: int | str = "auto",
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
    overwrite: bool = False,
    progress: bool = False,
    on_plan: Callable[[TilePlan], None] = lambda plan: None,
) -> Encoded:
    """Encode a video, a still, or numbered pictures into latents, in bounded memory.

    Args:
        images: A video file, a picture, a folder of pictures or a pattern such as "in/%05d.png".
        out: .safetensors (key "latents") or .npy, which hold (T, C, h, w); .png for 8-bit latents
            of four channels, with %d in the name for several.
        model: What ``load`` takes, or a loaded model.
        frames: Which frames, such as ``slice(10, 20)``; None is all.
        progress: Show a bar on standard error, if that is a terminal.
        on_plan: Told the plan before work starts.

    The other keywords are those of ``load`` and ``AutoEncoder.encode``.

    Raises:
        InputError: Something given is wrong; no file is left.
        OutputError: The output could not be written; no file is left.
        Interrupted: Ctrl-C; the message says what is left and where.
    """
    wanted = _checked_slice(frames)
    if isinstance(model, AutoEncoder):
        ae = model
    else:
        ae = load(model, variant=variant, device=device, dtype=dtype, backend=backend)
    with video_errors_as_ours(), open_reader(os.fspath(images)) as reader:
        count = None
        if reader.frame_count is not None:
            count = len(range(reader.frame_count)[wanted])
        plan = ae.plan(
            (3, reader.height, reader.width),
            action="encode", frames=count, tile=tile, overlap=overlap, memory=memory,
        )  # fmt: skip
        start = time.perf_counter()
        with FrameProgress(count, shown=progress) as bar:
            latents = ae.encode_stream(
                _frames(reader, wanted), tile=tile, overlap=overlap, memory=memory
            )
            written, notes = _write(
                Path(out), _counted(latents, bar), overwrite, lambda: on_plan(plan)
            )
    return Encoded(
        path=Path(out),
        frames=written,
        channels=ae.spec.latent_channels,
        height=plan.latents.height,
        width=plan.latents.width,
        seconds=time.perf_counter() - start,
        peak_bytes=peak_bytes(ae.settings.device),
        plan=plan,
        notes=notes,
    )


def _checked_slice(frames: slice | None) -> slice:
    wanted = slice(None) if frames is None else frames
    start, stop = wanted.start or 0, wanted.stop
    if start < 0 or (stop is not None and stop <= start):
        raise InputError(
            f"frames: expected A:B with 0 <= A < B, found {start}:{'' if stop is None else stop}"
        )
    return wanted


def _frames(reader: FrameReader, wanted: slice) -> Iterator[npt.NDArray[np.uint8]]:
    some = False
    for frame in islice(reader, wanted.start, wanted.stop, wanted.step):
        some = True
        yield frame.image
    if not some:
        raise InputError(
            f"frames: {reader.path} has no frame from {wanted.start or 0} on; give a smaller start"
        )


def _counted(latents: Iterator[Tensor], bar: FrameProgress) -> Iterator[Tensor]:
    for latent in latents:
        yield latent
        bar.frame()


def _write(
    out: Path, latents: Iterator[Tensor], overwrite: bool, on_open: Callable[[], None]
) -> tuple[int, tuple[str, ...]]:
    """Write all latents; how many, and what there is to say about them."""
    if out.suffix.lower() not in STACK_SUFFIXES:
        on_open()
        saved = save_latents(out, latents, overwrite=overwrite)
        clipped = f"{saved.clipped_values} values beyond what 8 bits hold were clipped"
        return saved.frames, (clipped,) if saved.clipped_values else ()
    writer = LatentWriter(out, overwrite=overwrite)
    try:
        with writer:
            on_open()
            for latent in latents:
                writer.write(latent)
    except KeyboardInterrupt as error:
        left = "nothing is left behind"
        if writer.kept_part is not None:
            left = f"the first {writer.frames_written} latents are in {writer.kept_part}"
        raise Interrupted(f"interrupted; {left}") from error
    return writer.frames_written, ()
