"""Zarr folders: what is refused before the zarr library opens anything, and regions of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from video.errors import InputError
from video.large.reading import open_regions
from video.large.zarr_arrays import ZarrNode
from video.large.zarr_folders import is_zarr

zarr = pytest.importorskip("zarr")

NUMBERS = np.arange(6 * 8, dtype=np.uint16).reshape(6, 8)
FILES = {2: ".zarray", 3: "zarr.json"}


def save(path: Path, version: int, **options: Any) -> Path:
    zarr.create_array(str(path), data=NUMBERS, chunks=(3, 4), zarr_format=version, **options)
    return path


def change(path: Path, version: int, **fields: object) -> None:
    file = path / FILES[version]
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.fixture
def unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the library must open nothing."""

    def never(**options: object) -> None:
        raise AssertionError("this was not to be called")

    for name in ("open", "open_array", "open_group"):
        monkeypatch.setattr(zarr, name, never)


@pytest.mark.parametrize("version", FILES)
def test_an_array_tells_what_it_is_and_reads_regions(version: int, tmp_path: Path) -> None:
    node = ZarrNode.of(save(tmp_path / "a", version))
    assert (node.is_array, node.version, node.shape, node.chunks) == (True, version, (6, 8), (3, 4))
    assert node.dtype == np.uint16
    array = node.open()
    np.testing.assert_array_equal(array.read((slice(2, 5), slice(1, 7))), NUMBERS[2:5, 1:7])
    np.testing.assert_array_equal(array.read((4, slice(0, 8))), NUMBERS[4])


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize(
    ("version", "fields", "said"),
    [
        (2, {"compressor": {"id": "pickle"}}, "found the codec 'pickle'"),
        (2, {"filters": [{"id": "vlen-utf8"}]}, "found the codec 'vlen-utf8'"),
        (3, {"codecs": ["bytes", "numcodecs.pickle"]}, "found the codec 'numcodecs.pickle'"),
        (2, {"chunks": [10**6, 10**6]}, "one chunk of 1000000x1000000 of 2 bytes"),
        (2, {"chunks": [0, 4]}, "sizes that make no sense"),
        (2, {"chunks": [3, 4.5]}, "sizes that make no sense"),
        (2, {"chunks": [3]}, "sizes that make no sense"),
        (3, {"chunk_grid": {"name": "regular"}}, "sizes that make no sense"),
        (3, {"shape": [-6, 8]}, "found uint16|sizes that make no sense"),
    ],
)
def test_what_is_no_harmless_picture_is_refused_unopened(
    version: int, fields: dict[str, object], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    # Not through the fixture's functions: this one writes.
    zarr.create_array(str(path), data=NUMBERS, chunks=(3, 4), zarr_format=version)
    change(path, version, **fields)
    with pytest.raises(InputError, match=said) as caught:
        open_regions(path)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("unopened")
def test_a_shard_of_too_many_chunks_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a", 3, shards=(6, 8))
    large = {"name": "regular", "configuration": {"chunk_shape": [10**6, 10**6]}}
    change(path, 3, chunk_grid=large)
    with pytest.raises(InputError, match=r"found \d{11} parts"):
        open_regions(path)


@pytest.mark.usefixtures("unopened")
@pytest.mark.parametrize("place", ["../other", "link", "{other}", "a\0b", "x" * 999])
def test_nothing_outside_a_group_is_opened(place: str, tmp_path: Path) -> None:
    other = save(tmp_path / "other", 3)
    group = tmp_path / "g"
    group.mkdir()
    (group / "link").symlink_to(other)
    axes = [{"name": "y"}, {"name": "x"}]
    picture = {"axes": axes, "datasets": [{"path": place.format(other=other)}]}
    attributes = {"ome": {"multiscales": [picture]}}
    fields = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (group / "zarr.json").write_text(json.dumps(fields))
    with pytest.raises(InputError, match=r"within the folder|File name too long"):
        open_regions(group)


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_what_another_says_of_an_array_is_not_believed(tmp_path: Path) -> None:
    """Consolidated metadata repeat an array's, and could be others than those that were checked."""
    group = zarr.open_group(str(tmp_path / "g"), mode="w", zarr_format=3)
    group.create_array("0", data=NUMBERS, chunks=(3, 4))
    zarr.consolidate_metadata(str(tmp_path / "g"))
    file = tmp_path / "g" / "zarr.json"
    file.write_text(file.read_text().replace('"uint16"', '"float64"'))
    array = ZarrNode.of(tmp_path / "g").member("0").open()
    np.testing.assert_array_equal(array.read((slice(0, 6), slice(0, 8))), NUMBERS)


def test_a_folder_without_metadata_is_no_zarr(tmp_path: Path) -> None:
    assert not is_zarr(tmp_path)
    with pytest.raises(InputError, match="cannot read it as Zarr"):
        ZarrNode.of(tmp_path)
