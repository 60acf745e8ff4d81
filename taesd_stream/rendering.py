"""From latents to a file: the one place where sources, engine and video files are joined."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from taesd_stream.choosing import AHEAD, Model, open_with_model
from taesd_stream.delivery import Write, delivery_to, writing_behind
from taesd_stream.engine.memory import peak_bytes
from taesd_stream.engine.options import Overlap, Tile, TileKeywords
from taesd_stream.errors import Interrupted, TaesdStreamError
from taesd_stream.files import video_errors_as_ours
from taesd_stream.latents.opening import Latents
from taesd_stream.pipeline import Behind
from taesd_stream.progress import FrameProgress
from taesd_stream.sinks import (
    Sink,
    check_count,
    check_name,
    inode_of,
    kept_pictures,
    open_sink,
    what_is_left,
)
from tiling import TilePlan
from video import CONTAINERS, parse_rate

__all__ = ["Rendered", "render"]


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
        what = "1 frame" if self.frames == 1 else f"{self.frames} frames"
        if self.path == Path("-") or self.path.suffix.lower() in CONTAINERS:
            what += f" at {self.rate} fps"
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
    time_upscale: bool = True,
    space_upscale: bool = True,
    calibration: Latents | None = None,
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
        frames: Which frames, such as ``slice(10, 20)``; None is all.
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
    check_name(out, overwrite=overwrite)
    source, ae = open_with_model(
        latents, model, variant=variant, layout=layout, key=key,
        device=device, dtype=dtype, backend=backend,
        time_upscale=time_upscale, space_upscale=space_upscale, calibration=calibration,
    )  # fmt: skip
    with nullcontext() if source is latents else source:
        options = TileKeywords(tile=tile, overlap=overlap, memory=memory)
        plan = ae.plan_stream(source, frames=frames, ahead=AHEAD, **options)
        check_count(out, plan.frames)
        height, width = plan.pixels.height, plan.pixels.width
        opening = partial(
            open_sink, out, width=width, height=height, rate=rate, codec=codec, crf=crf,
            lossless=lossless, audio=audio, overwrite=overwrite,
        )  # fmt: skip

        def pictures(check: Callable[[], None]) -> Generator[Tensor]:
            def on_tile(done: int, total: int) -> None:
                check()
                bar.part(done, total)

            on_plan(plan)
            # Where a tile goes through many steps in its turn, frames come late and together.
            by_turns = plan.memory is not None and plan.memory.segment != 1
            area = plan.pixels.area if by_turns else None
            with FrameProgress(plan.frames, shown=progress, frame_area=area) as bar:
                stream = ae.stream_tensors(
                    source, frames=frames, ahead=AHEAD, on_tile=on_tile, **options
                )
                for picture in stream:
                    yield picture
                    bar.frame()

        start = time.perf_counter()
        sink = _write_all(
            out, opening, pictures, ae.settings.device, frame_bytes=3 * height * width
        )
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


def _write_all(
    out: str | os.PathLike[str],
    opening: Callable[[], Sink],
    pictures: Callable[[Callable[[], None]], Generator[Tensor]],
    device: torch.device,
    *,
    frame_bytes: int,
) -> Sink:
    """Write every picture while the next is made; if that ends early, say what is left.

    Args:
        pictures: Called with what raises the writer's error, if there is one, to be called often.
    """
    sink: Sink | None = None
    writing: Behind[Write, None] | None = None
    inode_before = inode_of(out)
    try:
        with video_errors_as_ours(), ExitStack() as closing_sink:
            sink = closing_sink.enter_context(opening())
            deliver = delivery_to(sink, device)
            with (
                writing_behind(closing_sink, frame_bytes=frame_bytes) as writing,
                closing(pictures(writing.check)) as each,
            ):
                for picture in each:
                    writing.put(deliver(picture))
    except KeyboardInterrupt as error:
        if writing is not None and writing.is_running:
            raise Interrupted(
                f"interrupted twice, while {out} was being finished; it is not complete"
            ) from error
        raise Interrupted(f"interrupted; {what_is_left(sink, out, inode_before)}") from error
    except TaesdStreamError as error:
        kept = kept_pictures(sink)
        if kept is not None:
            error.add_note(kept)
        raise
    return sink
