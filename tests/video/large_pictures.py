"""Large pictures in every kind of file that can be read region by region, by several libraries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from video import InputError
from video.large.reading import RegionReader, open_regions
from video.large.writing import open_rows

tifffile = pytest.importorskip("tifffile")
zarr = pytest.importorskip("zarr")
pytest.importorskip("imagecodecs")

HEIGHT, WIDTH = 83, 120
Pixels = NDArray[Any]
Save = Callable[[Path, Pixels], Path]


def picture(dtype: type = np.uint8, channels: int = 3) -> Pixels:
    rng = np.random.default_rng(0)
    return rng.integers(0, np.iinfo(dtype).max + 1, (HEIGHT, WIDTH, channels), dtype)


def smooth() -> Pixels:
    ramp = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))
    return (ramp[..., None] * [1, 0.5, 0.2]).astype(np.uint8)


def in_rgb(pixels: Pixels) -> Pixels:
    """Grey as RGB, and alpha laid over white by Pillow."""
    if pixels.shape[2] in (1, 3):
        return np.repeat(pixels[..., :1], 3, axis=2) if pixels.shape[2] < 3 else pixels
    image = Image.fromarray(pixels, "LA" if pixels.shape[2] == 2 else "RGBA").convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def tiff(**options: object) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        channels = pixels.shape[2]
        array = pixels[..., 0] if channels == 1 else pixels
        if options.get("planarconfig") == "separate":
            array = np.moveaxis(pixels, 2, 0)
        given: dict[str, object] = {"photometric": "rgb" if channels >= 3 else "minisblack"}
        if channels in (2, 4):
            given |= {"planarconfig": "contig", "extrasamples": ["unassalpha"]}
        tifffile.imwrite(folder / "a.tif", array, **given | options)
        return folder / "a.tif"

    return save


def zarr_array(axes: str, version: int, chunks: tuple[int, ...], **options: object) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        array = arranged(pixels, axes)
        zarr.create_array(
            str(folder / "a.zarr"), data=array, chunks=chunks, zarr_format=version, **options
        )
        return folder / "a.zarr"

    return save


def arranged(pixels: Pixels, axes: str) -> Pixels:
    """With the axes that are named, new ones of size 1; without "c" the first channel alone."""
    pixels = pixels if "c" in axes else pixels[..., :1]
    order = ["yxc".index(axis) for axis in axes if axis in "yxc"]
    array = pixels.transpose(order) if "c" in axes else pixels[..., 0].transpose(order)
    new = tuple(index for index, axis in enumerate(axes) if axis in "tz")
    return np.ascontiguousarray(np.expand_dims(array, new))


def ome(axes: str, version: str, named: Callable[[str], object] = lambda name: {"name": name}) \
        -> Save:  # fmt: skip
    def save(folder: Path, pixels: Pixels) -> Path:
        group = zarr.create_group(str(folder / "g.zarr"), zarr_format=2 if version == "0.4" else 3)
        datasets = [{"path": "full"}, {"path": "half"}]
        images = [{"version": version, "axes": [named(a) for a in axes], "datasets": datasets}]
        attributes = {"version": version, "multiscales": images}
        group.attrs.update(attributes if version == "0.4" else {"ome": attributes})
        sizes = {"y": 40, "x": 50}
        chunks = tuple(sizes.get(axis, 1) for axis in axes)
        group.create_array("full", data=arranged(pixels, axes), chunks=chunks)
        group.create_array("half", data=arranged(pixels[::2, ::2], axes), chunks=chunks)
        return folder / "g.zarr"

    return save


def npy(lead: bool = False) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        squeezed = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        np.save(folder / "a.npy", squeezed[None] if lead else squeezed)
        return folder / "a.npy"

    return save


def ours(name: str) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        with open_rows(folder / name, width=pixels.shape[1], height=len(pixels)) as writer:
            writer.write(pixels)
        return folder / name

    return save


def vips(**options: object) -> Save:
    def save(folder: Path, pixels: Pixels) -> Path:
        pyvips = pytest.importorskip("pyvips")
        image = pyvips.Image.new_from_array(pixels)
        image.tiffsave(str(folder / "a.tif"), tile=True, **options)
        return folder / "a.tif"

    return save


KINDS: dict[str, Save] = {
    "tiles": tiff(tile=(32, 48)),
    "deflate": tiff(tile=(16, 16), compression="zlib", predictor=True),
    "lzw strips": tiff(rowsperstrip=7, compression="lzw"),
    "raw": tiff(),
    "raw strips": tiff(rowsperstrip=7),
    "big": tiff(bigtiff=True, tile=(32, 32)),
    "planes": tiff(planarconfig="separate", tile=(32, 48)),
    "planes in strips": tiff(planarconfig="separate", rowsperstrip=9, compression="zstd"),
    "big-endian": tiff(byteorder=">", tile=(32, 48)),
    "raw big-endian": tiff(byteorder=">"),
    "pages": lambda folder, pixels: tiff(tile=(32, 48), compression="zlib")(
        folder, np.stack([pixels, pixels // 2])
    ),
    "libvips": vips(pyramid=True, compression="deflate", bigtiff=True, tile_width=64),
    "our .tif": ours("a.tif"),
    "our .ome.zarr": ours("a.ome.zarr"),
    "our .npy": ours("a.npy"),
    "zarr 2": zarr_array("yxc", 2, (20, 33, 3)),
    "zarr 3": zarr_array("cyx", 3, (1, 50, 31)),
    "shards": zarr_array("yxc", 3, (10, 16, 3), shards=(40, 64, 3)),
    "ome 0.4": ome("tczyx", "0.4"),
    "ome 0.5": ome("cyx", "0.5"),
    "ome turned": ome("xcy", "0.5"),
    "ome of strings": ome("zyxc", "0.4", named=str),
    "npy": npy(),
    "npy of frames": npy(lead=True),
}
MORE_KINDS = {
    "npy big-endian": lambda folder, pixels: npy()(folder, pixels.astype(">u2")),
    "zarr big-endian": lambda folder, pixels: KINDS["zarr 2"](folder, pixels.astype(">u2")),
}


@st.composite
def regions(draw: st.DrawFn) -> tuple[slice, slice]:
    def part(size: int) -> slice:
        start = draw(st.integers(0, size - 1))
        return slice(start, draw(st.integers(start + 1, size)))

    return part(HEIGHT), part(WIDTH)


def whole(reader: RegionReader) -> Pixels:
    return reader.read(slice(0, reader.height), slice(0, reader.width))


def read_all(path: Path) -> Pixels:
    with open_regions(path) as reader:
        return whole(reader)


def refuse(path: Path, said: str) -> None:
    """Refused when it is opened or read, in one line that names it."""
    with pytest.raises(InputError, match=said) as caught, open_regions(path) as reader:
        whole(reader)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def overwrite_tags(path: Path, change: Callable[[list[int], list[int]], None]) -> None:
    """Change the offsets and the byte counts of the tiles of a TIFF."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = [file.pages[0].tags[name] for name in ("TileOffsets", "TileByteCounts")]
        offsets, counts = (list(tag.value) for tag in tags)
        change(offsets, counts)
        tags[0].overwrite(offsets)
        tags[1].overwrite(counts, dtype=tags[1].dtype if max(counts) < 65536 else "I")
