"""Zarr folders that are broken, hostile, or changed while they are read."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from taesd_stream.errors import LatentsError
from taesd_stream.latents import open_latents
from tests.latents.zarr_saving import (
    METADATA,
    VERSIONS,
    VIDEO,
    change_metadata,
    chunk_files,
    save_zarr,
    zarr,
)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("compressors", ["auto", None])
@pytest.mark.parametrize("content", [b"", b"abc", bytes(10**4)])
def test_a_broken_chunk_is_refused_in_one_line(tmp_path, version, compressors, content):
    path = save_zarr(tmp_path / "a", version=version, compressors=compressors)
    chunk_files(path)[0].write_bytes(content)
    source = open_latents(path)
    with pytest.raises(LatentsError, match="expected chunks that can be unpacked") as caught:
        source[0]
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


_BROKEN = [
    "",
    "{",
    "[]",
    "null",
    "[" * 10**5,
    "\xff",
    "{}",
    '{"zarr_format": 3}',
    '{"zarr_format": 3, "node_type": "array\\nof"}',
    '{"zarr_format": 3, "node_type": "array"}',
    '{"zarr_format": 3, "node_type": "array", "shape": [1, 2], "data_type": "float32"}',
]


@pytest.mark.parametrize("text", _BROKEN, ids=range(len(_BROKEN)))
@pytest.mark.parametrize("name", ["zarr.json", ".zarray", ".zgroup"])
def test_broken_metadata_are_refused_in_one_line(tmp_path, name, text):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).write_text(text, encoding="latin-1")
    with pytest.raises(LatentsError) as caught:
        open_latents(tmp_path / "a")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "a") in str(caught.value)
    if name != ".zgroup":
        assert "found" in str(caught.value)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"shape": [3, 4, -1, 11]}, "empty|broken"),
        ({"shape": [3, 4, 10.5, 11]}, "broken"),
        ({"shape": [3, 4, 0, 11]}, "empty array"),
        ({"shape": "large"}, "broken"),
        ({"shape": [3, 4, 10]}, "broken"),
        ({"fill_value": "a\nb"}, "broken"),
        ({"zarr_format": 7}, "broken"),
    ],
)
def test_metadata_that_make_no_sense_are_refused(tmp_path, version, fields, match):
    path = save_zarr(tmp_path / "a", version=version)
    change_metadata(path, **fields)
    with pytest.raises(LatentsError, match=match) as caught:
        open_latents(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", VERSIONS)
def test_noise_in_metadata_never_raises_anything_else(tmp_path, version):
    path = save_zarr(tmp_path / "a", version=version)
    file = path / METADATA[version]
    data = np.frombuffer(file.read_bytes(), np.uint8)
    random = np.random.default_rng(0)
    refused = []
    for _ in range(150):
        changed = data.copy()
        changed[random.integers(0, len(data), 2)] = random.integers(32, 127, 2)
        file.write_bytes(changed.tobytes())
        try:
            open_latents(path)[0]
        except LatentsError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 150
    assert not any("\n" in message for message in refused)


@pytest.mark.parametrize("version", VERSIONS)
def test_metadata_as_long_as_no_array_has_are_not_read(tmp_path, version):
    path = save_zarr(tmp_path / "a", version=version)
    os.truncate(path / METADATA[version], 2**27)
    with pytest.raises(LatentsError, match="134217728 bytes"):
        open_latents(path)


@pytest.mark.parametrize("version", VERSIONS)
def test_sizes_are_checked_before_memory_is_taken(tmp_path, version):
    path = save_zarr(tmp_path / "a", version=version)
    change_metadata(path, shape=[10**9, 4, 10**6, 10**6])
    source = open_latents(path)
    with pytest.raises(LatentsError, match="GiB"):
        source[0]
    region = source.region(0, slice(0, 6), slice(0, 8))
    assert np.array_equal(region.numpy(), VIDEO[0, :, :6, :8])
    large = [1, 4, 10**6, 10**6]
    grid = {"name": "regular", "configuration": {"chunk_shape": large}}
    change_metadata(path, **({"chunks": large} if version == 2 else {"chunk_grid": grid}))
    with pytest.raises(LatentsError, match=r"one chunk of .* GiB"):
        open_latents(path)


@pytest.mark.parametrize(
    ("version", "dtype"),
    [
        *((2, dtype) for dtype in ["|O", "<i4", "|u1", "<c8", [["a\n", "|O"]], None]),
        *((3, dtype) for dtype in ["int32", "uint8", "complex64", "bfloat16", {"name": "a\n"}]),
    ],
)
def test_what_is_not_floating_is_refused_before_zarr_sees_it(tmp_path, monkeypatch, version, dtype):
    path = save_zarr(tmp_path / "a", version=version)
    change_metadata(path, **{"dtype" if version == 2 else "data_type": dtype})
    monkeypatch.setattr(zarr, "open_array", _never)
    with pytest.raises(LatentsError, match="expected floating-point latents, found") as caught:
        open_latents(path)
    assert "\n" not in str(caught.value)


def _never(*_args, **_options):
    raise AssertionError("this was not to be called")


class _Payload:
    """An object that runs code where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        (2, {"compressor": {"id": "pickle"}}),
        (2, {"filters": [{"id": "pickle"}]}),
        (2, {"filters": [{"id": "shuffle", "elementsize": 4}, {"id": "pickle"}]}),
        (2, {"filters": [{"id": "vlen-utf8"}]}),
        (2, {"filters": ["pickle"]}),
        (2, {"compressor": {"id": "a\nb", "name": "zstd"}}),
        (2, {"compressor": 7}),
        (3, {"codecs": [{"name": "numcodecs.pickle"}]}),
        (3, {"codecs": [{"name": "bytes"}, {"name": "numcodecs.zlib"}]}),
        (3, {"codecs": ["bytes", "pickle"]}),
        (3, {"codecs": [7]}),
        (3, {"codecs": [{"name": "sharding_indexed", "configuration": {"codecs": ["pickle"]}}]}),
        (
            3,
            {
                "codecs": [
                    {"name": "sharding_indexed", "configuration": {"index_codecs": ["pickle"]}}
                ]
            },
        ),
    ],
)
def test_codecs_that_run_what_they_read_are_refused(tmp_path, monkeypatch, version, fields):
    path = save_zarr(tmp_path / "a", version=version)
    change_metadata(path, **fields)
    payload = pickle.dumps(_Payload(tmp_path / "ran"))
    for file in chunk_files(path):
        file.write_bytes(payload)
    monkeypatch.setattr(zarr, "open_array", _never)
    with pytest.raises(LatentsError, match="found the codec") as caught:
        open_latents(path)[0]
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("version", VERSIONS)
def test_an_array_that_shrinks_while_it_is_read_is_noticed(tmp_path, version):
    path = save_zarr(tmp_path / "a", version=version)
    source = open_latents(path)
    assert np.array_equal(source[2].numpy(), VIDEO[2])
    zarr.open_array(str(path), mode="r+").resize((3, 4, 5, 11))
    for read in (lambda: source.region(2, slice(8, 10), slice(0, 3)), lambda: source[2]):
        with pytest.raises(LatentsError, match=r"a: the file changed while it was being read"):
            read()


def test_a_change_is_named_rather_than_the_broken_chunk_it_leaves(tmp_path):
    path = save_zarr(tmp_path / "a")
    source = open_latents(path)
    for file in chunk_files(path):
        file.write_bytes(b"other")
    later = time.time_ns() + 10**9
    os.utime(path / "zarr.json", ns=(later, later))
    with pytest.raises(LatentsError, match="changed"):
        source[0]


def test_an_array_that_goes_while_it_is_read_is_noticed(tmp_path):
    path = save_zarr(tmp_path / "a")
    source = open_latents(path)
    path.rename(tmp_path / "b")
    with pytest.raises(LatentsError, match="No such file"):
        source[0]


def test_a_change_between_the_check_and_the_library_is_noticed(tmp_path, monkeypatch):
    path = save_zarr(tmp_path / "a")
    open_array = zarr.open_array

    def slow(**options):
        change_metadata(path, attributes={"changed": True})
        return open_array(**options)

    monkeypatch.setattr(zarr, "open_array", slow)
    with pytest.raises(LatentsError, match="changed"):
        open_latents(path)
