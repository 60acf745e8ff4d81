"""Every format, read again by another program than the one that wrote it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.video.test_large_pyramid import noise, strips, whole_pyramid
from video.large.deepzoom import NAMESPACE
from video.large.disk_space import needed_bytes
from video.large.writing import open_rows

tifffile = pytest.importorskip("tifffile", reason="tifffile writes .tif")
zarr = pytest.importorskip("zarr", reason="zarr writes .ome.zarr")
pytest.importorskip("png", reason="pypng writes .png")

SIZES = [(1, 1), (1, 700), (700, 1), (512, 512), (513, 1100), (1301, 777)]
LOSSLESS = [
    ("a.tif", "deflate"),
    ("a.tif", "none"),
    ("a.ome.zarr", "zstd"),
    ("a.zarr", "none"),
    ("a.dzi", "png"),
    ("a.png", None),
    ("a.npy", None),
]


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(y / 40) + np.cos(x / 30), np.sin(x / 50), np.cos((x + y) / 60)]
    return (128 + 60 * np.stack(waves, axis=-1)).clip(0, 255).astype(np.uint8)


def save(
    path: Path,
    image: NDArray[np.uint8],
    *,
    compression: str | None = None,
    memory_bytes: int = 8 << 20,
    cuts: tuple[int, ...] = (),
) -> Path:
    height, width = image.shape[:2]
    with open_rows(
        path,
        width=width,
        height=height,
        compression=compression,
        memory_bytes=memory_bytes,
    ) as writer:
        for strip in strips(image, cuts):
            writer.write(strip)
    assert (writer.rows_written, writer.frames_written) == (height, 1)
    assert (writer.part_path, writer.kept_part, writer.notes) == (None, None, ())
    return path


def tiff_levels(path: Path) -> list[NDArray[np.uint8]]:
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        pages = [page, *(page.pages or ())]
        if min(page.shape[:2]) > 1:  # a line is no pyramid to tifffile
            assert [one.shape for one in pages] == [one.shape for one in file.series[0].levels]
            assert len(file.series) == 1
        return [one.asarray() for one in pages]


def zarr_levels(path: Path) -> list[NDArray[np.uint8]]:
    group = zarr.open_group(path, mode="r")
    datasets = group.attrs["ome"]["multiscales"][0]["datasets"]
    return [np.moveaxis(group[entry["path"]][:], 0, -1) for entry in datasets]


def tiled_levels(path: Path) -> list[NDArray[np.uint8]]:
    """Joined by the XML; from the largest level to the smallest."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{{{NAMESPACE}}}Image"
    side, overlap, suffix = int(root.get("TileSize", 0)), root.get("Overlap"), root.get("Format")
    assert overlap == "0"
    size = root.find(f"{{{NAMESPACE}}}Size")
    assert size is not None
    width, height = int(size.get("Width", 0)), int(size.get("Height", 0))
    folder = path.with_name(f"{path.stem}_files")
    last = (max(width, height) - 1).bit_length()
    assert sorted(int(entry.name) for entry in folder.iterdir()) == list(range(last + 1))
    levels = []
    for level in range(last, -1, -1):
        wide, high = (-(-one // (1 << (last - level))) for one in (width, height))
        tiles = [
            [
                cv2.imread(str(folder / str(level) / f"{column}_{row}.{suffix}"))[..., ::-1]
                for column in range(-(-wide // side))
            ]
            for row in range(-(-high // side))
        ]
        levels.append(np.concatenate([np.concatenate(row, axis=1) for row in tiles]))
        count = len(list((folder / str(level)).iterdir()))
        assert count == len(tiles) * len(tiles[0])
    return levels


def read_levels(path: Path) -> list[NDArray[np.uint8]]:
    if path.suffix == ".tif":
        return tiff_levels(path)
    if path.suffix == ".zarr":
        return zarr_levels(path)
    if path.suffix == ".dzi":
        return tiled_levels(path)
    if path.suffix == ".npy":
        return [np.load(path)[0]]
    return [cv2.imread(str(path))[..., ::-1]]


def expected_levels(path: Path, image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    if path.suffix in (".png", ".npy"):
        return [image]
    return whole_pyramid(image, 1 if path.suffix == ".dzi" else 512)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "compression"), LOSSLESS)
def test_every_level_comes_back(
    tmp_path: Path, name: str, compression: str | None, size: tuple[int, int]
) -> None:
    image = noise(*size)
    path = save(tmp_path / name, image, compression=compression, cuts=(1, 300, 511))
    found, expected = read_levels(path), expected_levels(path, image)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    used = sum(entry.stat().st_size for entry in tmp_path.rglob("*") if entry.is_file())
    needed = needed_bytes(path, width=size[1], height=size[0], compression=compression)
    assert used <= needed
    left = {entry.name for entry in tmp_path.iterdir()}
    assert left == {name, "a_files"} if name == "a.dzi" else {name}


@pytest.mark.parametrize(("name", "compression"), [("a.tif", "jpeg"), ("a.dzi", "jpeg")])
def test_jpeg_is_close(tmp_path: Path, name: str, compression: str) -> None:
    image = smooth(1100, 777)
    image[:, 400:] //= 3
    image[300:800, 200:300] = (250, 0, 0)
    path = save(tmp_path / name, image, compression=compression)
    for one, other in zip(read_levels(path), expected_levels(path, image), strict=True):
        if min(one.shape[:2]) < 50:
            break  # little is left but edges
        error = np.abs(one.astype(int) - other)
        assert error.mean() < 2.5
        # Full-size chroma: a red edge stays where it is.
        assert error.max() <= 40
    coarse = tmp_path / f"coarse{path.suffix}"
    with open_rows(coarse, width=777, height=1100, compression="jpeg", quality=20) as writer:
        writer.write(image)
    error = np.abs(read_levels(coarse)[0].astype(int) - image)
    assert error.mean() > np.abs(read_levels(path)[0].astype(int) - image).mean()


@pytest.mark.parametrize("compression", ["deflate", "jpeg", "none"])
def test_vips_opens_every_level_of_a_tiff(tmp_path: Path, compression: str) -> None:
    pyvips = pytest.importorskip("pyvips", reason="pyvips is a second reader of .tif")
    image = smooth(1300, 2100)
    path = save(tmp_path / "a.tiff", image, compression=compression)
    levels = whole_pyramid(image, 512)
    assert len(levels) == 4
    for level, expected in enumerate(levels):
        picture = pyvips.Image.new_from_file(str(path), subifd=level - 1)
        if level == 0:
            assert picture.get("n-subifds") == 3
        assert (picture.interpretation, picture.get("tile-width")) == ("srgb", 512)
        error = np.abs(picture.numpy().astype(int) - expected)
        assert error.max() <= (10 if compression == "jpeg" else 0)


def test_a_tiff_says_what_it_is(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", noise(600, 700))
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
        page = file.pages[0]
        assert (page.tile, page.compression.name, page.predictor.name) == (
            (512, 512),
            "ADOBE_DEFLATE",
            "HORIZONTAL",
        )
        assert page.photometric.name == "RGB"
        assert [one.is_reduced for one in (page, *page.pages)] == [False, True]


def test_vips_opens_a_png(tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips", reason="pyvips is a second reader of .png")
    image = noise(33, 41)
    path = save(tmp_path / "a.png", image)
    np.testing.assert_array_equal(pyvips.Image.new_from_file(str(path)).numpy(), image)


def test_the_metadata_of_an_ome_zarr_are_valid(tmp_path: Path) -> None:
    models = pytest.importorskip("ome_zarr_models.v05", reason="it has the models of OME-Zarr 0.5")
    channels = pytest.importorskip("ome_zarr_models.common.omero", reason="it has their models")
    path = save(tmp_path / "scene.ome.zarr", noise(1300, 1100))
    image = models.Image.from_zarr(zarr.open_group(path, mode="r"))
    attributes = image.attributes.ome
    multiscale = attributes.multiscales[0]
    assert attributes.version == "0.5"
    assert (multiscale.name, [axis.name for axis in multiscale.axes]) == ("scene", list("cyx"))
    assert [dataset.path for dataset in multiscale.datasets] == ["0", "1", "2"]
    omero = channels.Omero.model_validate(attributes.omero)
    assert [one.color for one in omero.channels] == ["FF0000", "00FF00", "0000FF"]
    assert omero.channels[0].window.end == 255
    metadata = json.loads((path / "1" / "zarr.json").read_bytes())
    assert metadata["shape"] == [3, 650, 550]
    assert metadata["chunk_grid"]["configuration"]["chunk_shape"] == [3, 512, 512]
    assert metadata["dimension_names"] == ["c", "y", "x"]
    assert metadata["codecs"][-1]["name"] == "zstd"


def contents(folder: Path) -> dict[str, bytes]:
    files = (entry for entry in folder.rglob("*") if entry.is_file())
    return {str(entry.relative_to(folder)): entry.read_bytes() for entry in files}


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cuts=st.lists(st.integers(0, 600), max_size=9).map(tuple), memory=st.sampled_from([0, 1 << 24])
)
@pytest.mark.parametrize(("name", "compression"), [*LOSSLESS, ("a.tif", "jpeg"), ("a.dzi", None)])
def test_neither_strips_nor_memory_change_a_byte(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    compression: str | None,
    cuts: tuple[int, ...],
    memory: int,
) -> None:
    image = noise(600, 70) // 16
    one, other = (tmp_path_factory.mktemp("strips") for _ in range(2))
    save(one / name, image, compression=compression)
    save(other / name, image, compression=compression, cuts=cuts, memory_bytes=memory)
    assert contents(one) == contents(other)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.zarr", "a.dzi", "a.png", "a.npy"])
def test_a_wide_picture_waits_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    opened: list[str] = []

    make = tempfile.TemporaryFile

    def temporary(mode: str, buffering: int, *, prefix: str, dir: Path) -> object:  # noqa: A002 (its name)
        opened.append(str(dir))
        return make(mode, buffering, prefix=prefix, dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", temporary)
    image = noise(40, 20_000)
    compression = "png" if name == "a.dzi" else None
    path = save(
        tmp_path / name, image, compression=compression, memory_bytes=1 << 20, cuts=(7, 8, 30)
    )
    assert (str(tmp_path) in opened) == (name not in ("a.png", "a.npy"))
    for one, other in zip(read_levels(path), expected_levels(path, image), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_a_tile_of_a_tiff_has_beyond_the_picture_repeats_the_edge(tmp_path: Path) -> None:
    image = noise(300, 700)
    with tifffile.TiffFile(save(tmp_path / "a.tif", image, compression="none")) as file:
        page = file.pages[0]
        file.filehandle.seek(page.dataoffsets[1])
        stored = np.frombuffer(file.filehandle.read(page.databytecounts[1]), np.uint8)
    padding = ((0, 512 - 300), (0, 1024 - 700), (0, 0))
    whole = np.pad(image[:, 512:], padding, mode="edge")
    np.testing.assert_array_equal(stored.reshape(512, 512, 3), whole)
