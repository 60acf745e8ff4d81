"""Units of an encode: some latents of a video, or some rows of the latent of one picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.coder import Coder
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.running.planes import PixelPlane
from taesd_stream.engine.streams.encode_stream import EncodeStream
from taesd_stream.engine.streams.encode_window import EncodeWindow
from taesd_stream.engine.streams.picture_run import PictureRun
from taesd_stream.errors import InputError
from taesd_stream.jobs.cluster.units import Content, Place, Report, UnitFiles, content_of
from taesd_stream.jobs.delivery.bands import Rows
from taesd_stream.jobs.delivery.waiting import frames_that_wait
from taesd_stream.latents import LatentWriter, open_latents
from taesd_stream.models.latent_spaces import Convention
from tiling import Size
from video.background import ReadAhead
from video.frame_reader import Frame
from video.large.reading import RegionReader

__all__ = ["LatentUnits", "RowUnits", "latents_in"]


class _Frames(Protocol):
    """Frames that can be had by their numbers."""

    def frames_of(self, numbers: range) -> Iterator[Frame]: ...


@dataclass(frozen=True, slots=True)
class LatentUnits(UnitFiles):
    """The latents of a video, some in a row in each unit.

    Attributes:
        frames: The numbers of the frames that are encoded.
        latents: How many latents they become.
        unit_latents: How many of them are a unit.
        plane: Height and width of a frame, in pixels.
        options: How frames are cut into tiles.
        convention: The scale of the latents.
    """

    frames: range
    latents: int
    unit_latents: int
    plane: Size
    options: TileOptions
    convention: Convention

    @property
    def count(self) -> int:
        """How many units there are."""
        return -(-self.latents // self.unit_latents)

    @property
    def suffix(self) -> str:
        return ".safetensors"

    def latents_of(self, unit: int) -> range:
        """The numbers of the latents of a unit."""
        return range(self.latents)[unit * self.unit_latents : (unit + 1) * self.unit_latents]

    def frames_for(self, encoder: Coder, unit: int) -> range:
        """The numbers of the frames that are encoded for a unit."""
        window = EncodeWindow.of(encoder, self.latents_of(unit), len(self.frames))
        return self.frames[window.frames.start : window.frames.stop]

    def make(
        self, ae: AutoEncoder, source: _Frames, unit: int, place: Place, report: Report
    ) -> Content:
        encoder = coder_of(ae, "encode", self.options.seed)
        window = EncodeWindow.of(encoder, self.latents_of(unit), len(self.frames))
        numbers = self.frames_for(encoder, unit)
        stream = EncodeStream(
            encoder, self.options, count=len(self.frames), convention=self.convention
        )

        def images() -> Iterator[Rows]:
            number = 0
            for number, image in enumerate(ahead, 1):
                yield image
                report(number / len(numbers))
            if number != len(numbers):
                raise InputError(
                    f"cluster: expected {len(self.frames)} frames, found no frame"
                    f" {numbers[number]}; is the file damaged?"
                )

        path = place.own / self.file_of(unit)
        frames = (frame.image for frame in source.frames_of(numbers))
        with (
            ReadAhead(frames, most=frames_that_wait(self.plane)) as ahead,
            LatentWriter(path, overwrite=True) as writer,
        ):
            for latent in window.encoded(stream, images()):
                writer.write(latent)
        report(1.0)
        return content_of(path, place)


@dataclass(frozen=True, slots=True)
class RowUnits(UnitFiles):
    """The latent of one picture, some rows of tiles of it in each unit.

    Attributes:
        heights: Rows of the latent in each of all rows of tiles.
        unit_bands: Rows of tiles in a unit.
        options: How the picture is cut into tiles.
        convention: The scale of the latent.
    """

    heights: tuple[int, ...]
    unit_bands: int
    options: TileOptions
    convention: Convention

    @property
    def count(self) -> int:
        """How many units there are."""
        return -(-len(self.heights) // self.unit_bands)

    @property
    def suffix(self) -> str:
        return ".safetensors"

    def make(
        self, ae: AutoEncoder, source: RegionReader, unit: int, place: Place, report: Report
    ) -> Content:
        encoder = coder_of(ae, "encode", self.options.seed)
        plane = PixelPlane(Size(source.height, source.width), source.read, encoder.network.channels)
        picture = PictureRun(encoder, plane, self.options, encoder.scale(self.convention))
        if tuple(band.size for band in picture.bands) != self.heights:
            raise TypeError("expected the tiles of the plan")
        first = unit * self.unit_bands
        bands = picture.bands[first : first + self.unit_bands]
        top, rows, width = bands[0].start, bands[-1].stop - bands[0].start, picture.made.width
        latent = torch.empty(encoder.spec.latent_channels, rows, width, dtype=picture.dtype)
        left = rows * width
        with closing(picture.tiles(first_band=first)) as tiles:
            for region, tile in tiles:
                y, x = region.y.shift(-top), region.x
                latent[:, y.start : y.stop, x.start : x.stop] = tile
                left -= region.area
                report(1 - left / (rows * width))
                if not left:
                    break
        path = place.own / self.file_of(unit)
        with LatentWriter(path, overwrite=True) as writer:
            writer.write(latent)
        return content_of(path, place)


def latents_in(file: Path, channels: int) -> Iterator[Tensor]:
    """The latents of a unit's file, (C, h, w) each."""
    with open_latents(file, layout="TCHW", channels=channels) as source:
        yield from source
