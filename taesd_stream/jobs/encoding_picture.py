"""One picture larger than memory to latents, band by band."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.latent_scale import LatentScale
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import ModelOptions, TileOptions
from taesd_stream.engine.running.planes import PixelPlane
from taesd_stream.engine.streams.picture_run import PictureRun
from taesd_stream.errors import Interrupted
from taesd_stream.jobs.encoding_output import KnownLatents
from taesd_stream.jobs.progress import PictureProgress, Reporting
from taesd_stream.jobs.results import Encoded, encoded
from taesd_stream.jobs.time_in_plan import tell_time
from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.latents.writing.region_writer import RegionWriter
from tiling import Size
from video.array_reader import holds_several_frames
from video.large.reading import RegionReader
from video.large.reading_tiff import is_tiff_in_parts

__all__ = ["encode_picture", "is_read_in_regions"]


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


def encode_picture(
    reader: RegionReader,
    out: Path,
    ae: AutoEncoder,
    options: TileOptions,
    *,
    scale: LatentScale,
    overwrite: bool,
    reporting: Reporting,
) -> Encoded:
    """Encode a picture, in memory that does not depend on its height.

    Args:
        reader: Of a .tif, a Zarr or a .npy; it is closed.
        out: .safetensors, .npy, .latent, .pt or .pth.
        scale: Of the latents that are wanted.

    Raises:
        InputError: It is no such picture, or an option is wrong.
        OutputError: The latents could not be written.
        Interrupted: Ctrl-C; nothing is left.
    """
    with reader:
        plane = Size(reader.height, reader.width)
        encoder = coder_of(ae, "encode", options.seed)
        source = PixelPlane(plane, reader.read, encoder.network.channels)
        picture = PictureRun(encoder, source, options, scale)
        tell_time(ae, picture, ModelOptions())
        metadata = LatentMetadata(scale.convention, size=(plane.height, plane.width))
        known = KnownLatents(metadata, ae.spec)
        reporting.on_plan(picture.plan)
        start = time.perf_counter()
        made = picture.made
        shape = (ae.spec.latent_channels, made.height, made.width)
        try:
            with (
                PictureProgress(
                    plane.area, shown=reporting.progress, seconds=picture.plan.seconds
                ) as bar,
                RegionWriter(
                    out, shape, picture.dtype, metadata=metadata, overwrite=overwrite
                ) as writer,
            ):
                pixels = plane.area // made.area
                for region, tile in picture.tiles(
                    on_tile=lambda done, total: bar.part(done * pixels, total * pixels)
                ):
                    y, x = region.y, region.x
                    writer.write(slice(y.start, y.stop), slice(x.start, x.stop), tile)
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted; nothing is left behind") from error
    return encoded(ae, out, picture.plan, start, notes=(*reader.notes, *known.lost_in(out)))
