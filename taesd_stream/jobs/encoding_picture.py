"""One picture larger than memory to latents, band by band."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.latent_scale import LatentScale
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import ModelOptions, TileOptions
from taesd_stream.engine.running.planes import PixelPlane
from taesd_stream.engine.streams.picture_run import PictureRun
from taesd_stream.errors import Interrupted
from taesd_stream.jobs.encoding_output import KnownLatents, LatentOutput
from taesd_stream.jobs.progress import PictureProgress, Reporting
from taesd_stream.jobs.results import Encoded, encoded
from taesd_stream.jobs.time_in_plan import tell_time
from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.latents.writing.region_writer import RegionWriter
from tiling import Size, TilePlan
from video.array_reader import holds_several_frames
from video.large.reading import RegionReader
from video.large.reading_tiff import is_tiff_in_parts

__all__ = ["PictureEncoding", "encode_picture", "is_read_in_regions"]


def is_read_in_regions(path: Path) -> bool:
    """Whether it is one picture of which parts can be read: .tif, Zarr or .npy.

    A .npy may hold several frames instead. A .tif is read as a whole, by Pillow, where tifffile is
    not installed, or its colours are such that Pillow has to make RGB of them.
    """
    if path.suffix.lower() in (".tif", ".tiff"):
        return path.is_file() and find_spec("tifffile") is not None and is_tiff_in_parts(path)
    if path.suffix.lower() == ".npy":
        return not holds_several_frames(path)
    return path.suffix.lower() == ".zarr"


@dataclass(frozen=True, slots=True)
class PictureEncoding:
    """A picture that is to be encoded, band by band.

    Attributes:
        reader: Reads parts of it.
        ae: The model.
        run: Encodes it, under one plan.
        known: What is known of its latent.
    """

    reader: RegionReader
    ae: AutoEncoder
    run: PictureRun
    known: KnownLatents

    @classmethod
    def of(
        cls, reader: RegionReader, ae: AutoEncoder, options: TileOptions, scale: LatentScale
    ) -> Self:
        """The run of a picture, and its plan.

        Args:
            scale: Of the latent that is wanted.

        Raises:
            InputError: It is no picture for the model, or an option is wrong.
        """
        plane = Size(reader.height, reader.width)
        encoder = coder_of(ae, "encode", options.seed)
        source = PixelPlane(plane, reader.read, encoder.network.channels)
        run = PictureRun(encoder, source, options, scale)
        tell_time(ae, run, ModelOptions())
        metadata = LatentMetadata(scale.convention, size=(plane.height, plane.width))
        return cls(reader, ae, run, KnownLatents(metadata, ae.spec))

    def writer(self, output: LatentOutput) -> RegionWriter:
        """What its latent is written with, region by region."""
        shape = (self.ae.spec.latent_channels, *self.run.made)
        return RegionWriter(
            output.path,
            shape,
            self.run.dtype,
            metadata=self.known.metadata,
            overwrite=output.overwrite,
        )

    def result(self, output: LatentOutput, plan: TilePlan, start: float | None) -> Encoded:
        """What has been made under a plan."""
        notes = (*self.reader.notes, *self.known.lost_in(output.path))
        return encoded(self.ae, output.path, plan, start, notes=notes)


def encode_picture(
    encoding: PictureEncoding, output: LatentOutput, reporting: Reporting
) -> Encoded:
    """Encode a picture, in memory that does not depend on its height.

    Args:
        encoding: The picture.
        output: .safetensors, .npy, .latent, .pt or .pth.
        reporting: Who is told.

    Raises:
        OutputError: The latents could not be written.
        Interrupted: Ctrl-C; nothing is left.
    """
    run = encoding.run
    reporting.on_plan(run.plan)
    start = time.perf_counter()
    area = Size(encoding.reader.height, encoding.reader.width).area
    pixels = area // run.made.area
    try:
        with (
            PictureProgress(area, shown=reporting.progress, seconds=run.plan.seconds) as bar,
            encoding.writer(output) as writer,
        ):
            for region, tile in run.tiles(
                on_tile=lambda done, total: bar.part(done * pixels, total * pixels)
            ):
                y, x = region.y, region.x
                writer.write(slice(y.start, y.stop), slice(x.start, x.stop), tile)
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; nothing is left behind") from error
    return encoding.result(output, run.plan, start)
