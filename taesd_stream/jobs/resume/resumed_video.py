"""What runs that are to be gone on with have in common, and videos that are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Unpack

import torch

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.options import TileKeywords
from taesd_stream.engine.streams.frame_windows import chosen_frames
from taesd_stream.errors import InputError
from taesd_stream.jobs.delivery.frame_sinks import VideoKeywords, refuse
from taesd_stream.jobs.model_for_latents import AHEAD
from taesd_stream.jobs.resume.journal import Journal
from taesd_stream.latents import LatentSource
from tiling import Size, TilePlan
from video.joining import JOINABLE
from video.options import VideoOptions
from video.segments import SegmentedWriter, Segments

__all__ = ["ResumedVideo", "as_recorded", "settings_of"]

# A segment is lost where a run is cut short: so many pixels of it at most, some minutes on a CPU.
_SEGMENT_PIXELS = 100_000_000
_MOST_SEGMENT_FRAMES = 250
_FEWEST_SEGMENT_FRAMES = 16


def as_recorded(options: TileKeywords, out: str | os.PathLike[str]) -> TileKeywords:
    """The options, with the tile that an unfinished run took: in 16 bits, others round otherwise.

    A tile that is asked for stays.
    """
    recorded = Journal.recorded(out, "tile")
    if recorded is None:
        return options
    width, _, height = recorded.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        return options
    return _with_tile(options, Size(int(height), int(width)))


def _with_tile(options: TileKeywords, tile: Size) -> TileKeywords:
    """The options with a tile, if it was left open; blended crops are cut by another rule."""
    if options.get("tile", "auto") != "auto" or options.get("overlap", "exact") != "exact":
        return options
    taken: TileKeywords = {**options, "tile": (tile.height, tile.width)}
    return taken


def settings_of(
    latents: LatentSource,
    numbers: Iterable[int],
    ae: AutoEncoder,
    plan: TilePlan,
    **others: object,
) -> dict[str, str]:
    """All that the bytes of an output depend on.

    Args:
        numbers: Which latents it is made of.
        others: What only this kind of output depends on.
    """
    crop = plan.view.crop
    return {
        "version": version("taesd-stream"),
        "model": ae.spec.label,
        "weights": ae.digest_of_weights("decode"),
        "calibration": ae.rounding_of("decode"),
        "latents": f"{latents.channels}x{plan.latents}",
        "numbers in the latents": _digest(latents, numbers),
        "size": str(plan.pixels),
        "crop": "none" if crop is None else ",".join(map(str, crop.xywh)),
        "wrap": plan.view.axes or "none",
        "where": plan.where,
        "tile": str(plan.tile),
        "overlap": str(plan.overlap),
        **{
            name.replace("_", " "): "default" if value is None else str(value)
            for name, value in others.items()
        },
    }


def _digest(latents: LatentSource, numbers: Iterable[int]) -> str:
    """A digest of latents' numbers, read a few rows at a time."""
    digest = hashlib.blake2b(digest_size=16)
    columns = slice(0, latents.width)
    step = max(1, (1 << 20) // latents.width)
    for number in numbers:
        for start in range(0, latents.height, step):
            rows = slice(start, min(latents.height, start + step))
            region = latents.region(number, rows, columns)
            digest.update(region.view(torch.uint8).numpy().data)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class ResumedVideo:
    """A video that is made in segments, some of which may be there already.

    Attributes:
        journal: Counts the segments that are finished.
        options: How the frames that are left are decoded.
        frames: Which frames are left; None if none are.
        total: How many frames are wanted in all.
        segment_frames: Frames in a segment.
    """

    journal: Journal
    options: TileKeywords
    frames: slice | None
    total: int
    segment_frames: int

    @classmethod
    def open(
        cls,
        out: str | os.PathLike[str],
        source: LatentSource,
        ae: AutoEncoder,
        video: VideoKeywords,
        options: TileKeywords,
        *,
        frames: slice | None,
    ) -> ResumedVideo:
        """What is left of a video.

        Args:
            video: What it is to be.
            frames: Which frames are wanted in all.

        Raises:
            InputError: It cannot be made in segments, or was begun from something else.
        """
        path = Path(out)
        if path.suffix.lower() not in JOINABLE:
            raise InputError(
                f"resume: expected a video as {', '.join(JOINABLE)}, or one picture as .tif,"
                f" .ome.zarr, .dzi, .png or .npy, found {path.name}; leave it out"
            )
        if source.frames is None:
            raise InputError(
                "resume: expected latents that can be read again, found an iterator; save them to"
                " a file"
            )
        options = as_recorded(options, out)
        plan = ae.plan_stream(source, frames=frames, ahead=AHEAD, **options)
        wanted = _numbers(source, ae, frames)
        each = max(_FEWEST_SEGMENT_FRAMES, _SEGMENT_PIXELS // plan.pixels.area)
        each = min(_MOST_SEGMENT_FRAMES, each)
        settings = settings_of(
            source, range(source.frames), ae, plan,
            frames=wanted, segments=each, rate=video["rate"], codec=video["codec"],
            crf=video["crf"], lossless=video["lossless"],
        )  # fmt: skip
        journal = Journal.open(out, settings)
        left = wanted[journal.done * each :]
        rest = slice(left.start, left.stop, left.step) if left else None
        return cls(journal, _with_tile(options, plan.tile), rest, len(wanted), each)

    def writer(
        self,
        out: str | os.PathLike[str],
        *,
        width: int,
        height: int,
        **video: Unpack[VideoKeywords],
    ) -> SegmentedWriter:
        """What takes the frames that are left.

        Raises:
            InputError: An option does not fit the kind of file.
            InputError: The same, found by `video`.
        """
        refuse(
            Path(out).suffix, "has none to choose",
            compression=video["compression"], quality=video["quality"],
        )  # fmt: skip

        def note(frames: int) -> None:
            self.journal.note(-(-frames // self.segment_frames))

        segments = Segments(self.journal.folder, self.segment_frames, self.journal.done, note)
        options = VideoOptions(
            video["rate"],
            video["codec"],
            video["crf"],
            video["lossless"],
            video["audio"],
            video["overwrite"],
        )
        return SegmentedWriter(out, segments, width=width, height=height, options=options)

    @property
    def kept(self) -> str:
        """What there is, in words."""
        frames = min(self.total, self.journal.done * self.segment_frames)
        return (
            f"{frames} frames are kept in {self.journal.folder}; give the same command once more,"
            " with --resume, to go on"
        )


def _numbers(source: LatentSource, ae: AutoEncoder, frames: slice | None) -> range:
    """The numbers of the frames that are wanted."""
    each = (source.frames or 0) // source.clips
    return chosen_frames(source.clips * ae.spec.timing.frames(each), frames)
