"""Frames into a file, while the next ones are decoded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.budget import peak_bytes
from taesd_stream.engine.options import TileKeywords
from taesd_stream.errors import Interrupted, TaesdStreamError
from taesd_stream.jobs.delivery.device_to_sink import Write, delivery_to, writing_behind
from taesd_stream.jobs.delivery.frame_sinks import Sink, VideoKeywords, check_count, open_sink
from taesd_stream.jobs.delivery.interrupted import inode_of, kept_pictures, what_is_left
from taesd_stream.jobs.model_for_latents import AHEAD
from taesd_stream.jobs.progress import FrameProgress
from taesd_stream.jobs.rendered import Rendered
from taesd_stream.jobs.resume.resumed_video import ResumedVideo
from taesd_stream.latents import LatentSource
from tiling import TilePlan
from video.background import WriteBehind

__all__ = ["render_frames"]


def render_frames(
    source: LatentSource,
    ae: AutoEncoder,
    out: str | os.PathLike[str],
    video: VideoKeywords,
    options: TileKeywords,
    *,
    frames: slice | None,
    resume: bool,
    progress: bool,
    on_plan: Callable[[TilePlan], None],
) -> Rendered:
    """Decode frames into a video, pictures, or an array.

    Args:
        source: Where the latents are.
        out: The file, folder or pattern.
        video: What the file is to be.
        frames: Which frames; None is all.
        resume: Whether finished segments are kept, and those of an earlier run are gone on from.

    Raises:
        InputError: Something given is wrong; no file is left.
        OutputError: The output could not be written; no file is left.
        Interrupted: Ctrl-C; the message says what is left and where.
    """

    def render(
        options: TileKeywords, frames: slice | None, resumed: ResumedVideo | None
    ) -> Rendered:
        return _render(
            source, ae, out, video, options,
            frames=frames, resumed=resumed, progress=progress, on_plan=on_plan,
        )  # fmt: skip

    if not resume:
        return render(options, frames, None)
    resumed = ResumedVideo.open(out, source, ae, video, options, frames=frames)
    with resumed.journal:
        return render(resumed.options, resumed.frames, resumed)


def _render(
    source: LatentSource,
    ae: AutoEncoder,
    out: str | os.PathLike[str],
    video: VideoKeywords,
    options: TileKeywords,
    *,
    frames: slice | None,
    resumed: ResumedVideo | None,
    progress: bool,
    on_plan: Callable[[TilePlan], None],
) -> Rendered:
    """``render_frames``, or what is left of it."""
    plan = ae.plan_stream(source, frames=frames, ahead=AHEAD, **options)
    check_count(out, plan.frames)
    height, width = plan.pixels.height, plan.pixels.width
    open_any: Callable[..., Sink] = open_sink if resumed is None else resumed.writer

    def pictures(check: Callable[[], None]) -> Generator[Tensor]:
        def on_tile(done: int, total: int) -> None:
            check()
            bar.part(done, total)

        if resumed is not None and resumed.frames is None:
            return
        on_plan(plan)
        # Where a tile goes through many steps in its turn, frames come late and together.
        by_turns = plan.state is not None and plan.state.segment != 1
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
        out, partial(open_any, out, width=width, height=height, **video), pictures,
        ae.settings.device, frame_bytes=3 * height * width, resumed=resumed,
    )  # fmt: skip
    return Rendered(
        path=Path(out),
        frames=sink.frames_written if resumed is None else resumed.total,
        width=width,
        height=height,
        rate=video["rate"],
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
    resumed: ResumedVideo | None,
) -> Sink:
    """Write every picture while the next is made; if that ends early, say what is left.

    Args:
        pictures: Called with what raises the writer's error, if there is one, to be called often.
    """
    sink: Sink | None = None
    writing: WriteBehind[Write, None] | None = None
    inode_before = inode_of(out)
    try:
        with ExitStack() as closing_sink:
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
        left = what_is_left(sink, out, inode_before) if resumed is None else resumed.kept
        raise Interrupted(f"interrupted; {left}") from error
    except TaesdStreamError as error:
        kept = kept_pictures(sink) if resumed is None else resumed.kept
        if kept is not None:
            error.add_note(kept)
        raise
    if resumed is not None:
        resumed.journal.finish()
    return sink
