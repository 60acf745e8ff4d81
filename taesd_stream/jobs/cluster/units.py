"""What a worker makes: units of a video, or of one picture."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.running.planes import LatentPlane
from taesd_stream.engine.streams.frame_windows import as_slice
from taesd_stream.engine.streams.picture_run import PictureRun
from taesd_stream.engine.streams.video_run import VideoRun
from taesd_stream.jobs.delivery.bands import bands_of
from taesd_stream.jobs.delivery.frame_delivery import FrameDelivery
from taesd_stream.jobs.delivery.frame_sinks import open_sink
from taesd_stream.jobs.output import Output
from taesd_stream.latents import LatentSource
from tiling import Size
from video.large.shards import RowShards
from video.safe_files.durability import sync_file, sync_folder
from video.safe_files.replacing import replacing
from video.transparency import Transparency

__all__ = [
    "Content",
    "Job",
    "PictureUnits",
    "Place",
    "Report",
    "UnitFiles",
    "VideoUnits",
    "content_of",
]

Report: TypeAlias = Callable[[float], None]
"""Told which part of a unit is done, from 0 to 1."""


Content: TypeAlias = NDArray[Any] | None
"""Bytes of a file, or of pixels."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker puts what it makes.

    Attributes:
        own: A folder that nobody else writes to.
        shared: The folder of the job, if it is seen from here; else what is made is brought along.
    """

    own: Path
    shared: Path | None


class Job(Protocol):
    """A job in units, as workers know it."""

    @property
    def count(self) -> int:
        """How many units there are."""

    def make(
        self, ae: AutoEncoder, source: Any, unit: int, place: Place, report: Report
    ) -> Content:
        """Make a unit.

        Args:
            ae: The model.
            source: What it is made of; at least what the unit needs can be read there.
            unit: Its number.
            place: Where it goes.
            report: Told how far it is.

        Returns:
            What has to be brought along; None if it lies where it belongs, or will be moved there.
        """

    def take(self, unit: int, content: Content, folder: Path, worker: str) -> None:
        """Put a unit that a worker has made where it belongs in the folder of the job."""


def content_of(file: Path, place: Place) -> Content:
    """What a worker brings along of a file that it has made in a place."""
    sync_file(file)
    return None if place.shared is not None else np.fromfile(file, np.uint8)


class UnitFiles(ABC):
    """Units each of which is a file in the folder of the job."""

    __slots__ = ()

    @property
    @abstractmethod
    def suffix(self) -> str:
        """Of the files."""

    def file_of(self, unit: int) -> str:
        """The name of a unit's file, as a video in segments calls them."""
        return f"{unit:05d}{self.suffix}"

    def take(self, unit: int, content: Content, folder: Path, worker: str) -> None:
        """Put the file that a worker has made, or brought along, where it belongs."""
        path = folder / self.file_of(unit)
        if content is None:
            os.replace(folder / worker / path.name, path)
            sync_folder(folder)
            return
        with replacing(path, durable=True) as part:
            content.tofile(part)


@dataclass(frozen=True, slots=True)
class VideoUnits(UnitFiles):
    """A video in segments, each of which is encoded where it is decoded.

    Attributes:
        frames: The numbers of the frames that are wanted.
        unit_frames: Frames of a segment.
        options: How latents are cut into tiles.
        output: The file; its codec is one that opens.
        size: Of a frame, in pixels.
        ahead: The most latents that are read before the frames of the first of them go out.
    """

    frames: range
    unit_frames: int
    options: TileOptions
    output: Output
    size: Size
    ahead: int

    @property
    def count(self) -> int:
        """How many units there are."""
        return -(-len(self.frames) // self.unit_frames)

    def frames_of(self, unit: int) -> range:
        """The numbers of the frames of a unit."""
        return self.frames[unit * self.unit_frames : (unit + 1) * self.unit_frames]

    @property
    def suffix(self) -> str:
        return self.output.suffix

    def make(
        self, ae: AutoEncoder, latents: LatentSource, unit: int, place: Place, report: Report
    ) -> Content:
        frames = self.frames_of(unit)
        run = VideoRun(
            coder_of(ae, "decode"),
            latents,
            self.options,
            frames=as_slice(frames),
            ahead=self.ahead,
        ).with_transparency(self.output.transparency)
        path = place.own / self.file_of(unit)
        output = replace(self.output, name=path)

        def tensors(check: Callable[[], None]) -> Any:
            for number, frame in enumerate(run.tensors(on_tile=lambda *_: check()), 1):
                yield frame
                report(number / len(frames))

        with ExitStack() as closing_sink:
            sink = closing_sink.enter_context(open_sink(output, self.size))
            FrameDelivery(ae.settings.device, self.size).carry_out(closing_sink, sink, tensors)
        return content_of(path, place)


@dataclass(frozen=True, slots=True)
class PictureUnits:
    """One picture in rows of tiles, some of which are a unit.

    Attributes:
        index: The number of the latent.
        unit_bands: Rows of tiles in a unit.
        heights: Rows of pixels in each of all rows of tiles.
        options: How the latent is cut into tiles.
        transparency: What becomes of alpha.
        channels: 3, or 4 with alpha.
        rows: The address of a store that workers write finished rows to; None is the folder of the
            job.
    """

    index: int
    unit_bands: int
    heights: tuple[int, ...]
    options: TileOptions
    transparency: Transparency
    channels: int
    rows: str | None = None

    FILE: ClassVar = "rows.zarr"

    def rows_in(self, folder: Path) -> Path | str:
        """Where finished rows are, of a job of that folder."""
        return folder / self.FILE if self.rows is None else self.rows

    @property
    def count(self) -> int:
        """How many units there are."""
        return -(-len(self.heights) // self.unit_bands)

    def height_of(self, unit: int) -> int:
        """Rows of pixels in a unit."""
        return sum(self.heights[unit * self.unit_bands : (unit + 1) * self.unit_bands])

    def make(
        self, ae: AutoEncoder, latents: LatentSource, unit: int, place: Place, report: Report
    ) -> Content:
        decoder = coder_of(ae, "decode")
        plane = LatentPlane(latents, self.index, decoder.scale(None, latents))
        picture = PictureRun(decoder, plane, self.options)
        first = unit * self.unit_bands
        if tuple(band.size for band in picture.bands) != self.heights:
            raise TypeError("expected the tiles of the plan")
        height, width = self.height_of(unit), picture.made.width
        before = sum(self.heights[:first]) * width

        def on_tile(done: int, total: int) -> None:
            report(min(1.0, max(0, done - before) / (height * width)))

        rows = np.empty((height, width, self.channels), np.uint8)
        made, row = bands_of(picture, first, self.transparency, lambda: None, on_tile), 0
        with closing(made):
            bands = islice(made, self.unit_bands)
            for strip in (each for band in bands for each in band.strips()):
                rows[row : row + len(strip)] = strip
                row += len(strip)
        if self.rows is None and place.shared is None:
            return rows
        RowShards.open(self.rows_in(place.shared or place.own)).write(unit, rows)
        return None

    def take(self, unit: int, content: Content, folder: Path, worker: str) -> None:
        if content is not None:
            RowShards.open(self.rows_in(folder)).write(unit, content)
