"""Zarr folders, versions 2 and 3."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st

from taesd_stream.errors import LatentsError, MissingExtraError, NonFiniteError
from taesd_stream.latents import check_finite, open_latents
from tests.latents.saving import FRAMES
from tests.latents.zarr_saving import VERSIONS, VIDEO, chunk_files, save_zarr, zarr

_FORTRAN = {
    2: {"order": "F"},
    3: {"filters": [zarr.codecs.TransposeCodec(order=(3, 2, 1, 0))]},
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_of_either_version_and_order(tmp_path, version, dtype, order):
    options = _FORTRAN[version] if order == "F" else {}
    path = save_zarr(tmp_path / "a", version=version, dtype=dtype, **options)
    expected = torch.from_numpy(VIDEO.astype(np.dtype(dtype).newbyteorder("=")))
    with open_latents(path) as source:
        assert (source.shape, source.layout, source.dtype) == (
            (3, 4, 10, 11),
            "T C H W",
            expected.dtype,
        )
        assert torch.equal(source[:], expected)
        assert torch.equal(source[1], expected[1])
        region = source.region(2, slice(2, 9), slice(3, 11))
        assert torch.equal(region, expected[2, :, 2:9, 3:11])
        assert f"a Zarr v{version} array in chunks of (2, 4, 3, 4)" in source.describe()
        assert source[0:0].shape == (0, 4, 10, 11)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_regions_whatever_the_layout_and_the_chunks(tmp_path_factory, data):
    layout = data.draw(st.sampled_from(sorted(FRAMES)))
    sizes = {"C": 4, **{axis: data.draw(st.integers(1, 7), label=axis) for axis in "NTHW"}}
    shape = [sizes[axis] for axis in layout.split()]
    chunks = tuple(data.draw(st.integers(1, size)) for size in shape)
    numbers = np.linspace(-3, 3, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    path = tmp_path_factory.mktemp("zarr") / "a"
    save_zarr(path, numbers, version=data.draw(st.sampled_from(VERSIONS)), chunks=chunks)
    expected = rearrange(torch.from_numpy(numbers), FRAMES[layout])
    with open_latents(path, layout=layout) as source:
        assert torch.equal(source[:], expected)
        frame = data.draw(st.integers(0, len(expected) - 1))
        rows, columns = (
            slice(min(pair), max(pair) + 1)
            for pair in (
                data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2))
                for size in expected.shape[2:]
            )
        )
        assert torch.equal(source.region(frame, rows, columns), expected[frame, :, rows, columns])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_region_reads_the_chunks_it_touches(tmp_path, version):
    path = save_zarr(tmp_path / "a", version=version, chunks=(1, 4, 5, 4))
    with open_latents(path) as source:
        for file in chunk_files(path):
            coordinates = file.relative_to(path).as_posix().removeprefix("c/").replace("/", ".")
            if coordinates not in {"2.0.1.1", "2.0.1.2"}:
                file.write_bytes(b"broken")
        region = source.region(2, slice(5, 10), slice(4, 11))
        assert np.array_equal(region.numpy(), VIDEO[2, :, 5:10, 4:11])
        with pytest.raises(LatentsError, match="broken one"):
            source.region(2, slice(4, 10), slice(4, 11))


@pytest.mark.parametrize(
    ("version", "options"),
    [
        (3, {"compressors": None}),
        (3, {"compressors": [zarr.codecs.GzipCodec(), zarr.codecs.Crc32cCodec()]}),
        (3, {"compressors": [zarr.codecs.BloscCodec()]}),
        (3, {"shards": (2, 4, 6, 8)}),
    ],
)
def test_codecs_that_are_safe(tmp_path, version, options):
    path = save_zarr(tmp_path / "a", version=version, **options)
    with open_latents(path) as source:
        assert np.array_equal(source[:].numpy(), VIDEO)
        assert source._store.chunks == (2, 4, 3, 4)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_folder_is_known_by_what_is_in_it(tmp_path, version):
    path = save_zarr(tmp_path / "holiday.jpg", version=version)
    assert np.array_equal(open_latents(path)[:].numpy(), VIDEO)
    (tmp_path / "b.zarr").mkdir()
    np.save(tmp_path / "b.zarr" / "0.npy", VIDEO)
    assert ".npy" in open_latents(tmp_path / "b.zarr").describe()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_array_of_a_group(tmp_path, version):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    group.create_group("more")
    save_zarr(path, name="z", version=version)
    save_zarr(path, np.arange(5), name="step", version=version, chunks=(5,), dtype="int64")
    (path / "notes.txt").write_text("no array")
    with open_latents(path) as source:
        assert np.array_equal(source[:].numpy(), VIDEO)
        assert "a.zarr['z']" in source.describe()
    save_zarr(path, -VIDEO, name="y", version=version)
    with pytest.raises(LatentsError, match=r"'y': .*'z': .*'more': .*'step': .*--key") as caught:
        open_latents(path)
    assert "\n" not in str(caught.value)
    assert np.array_equal(open_latents(path, key="y")[:].numpy(), -VIDEO)
    assert np.array_equal(open_latents(path / "y")[:].numpy(), -VIDEO)
    with pytest.raises(LatentsError, match="the key 'x'"):
        open_latents(path, key="x")
    with pytest.raises(LatentsError, match="leave the key out"):
        open_latents(path / "y", key="y")
    save_zarr(path, 2 * VIDEO, name="samples", version=version)
    assert np.array_equal(open_latents(path)[:].numpy(), 2 * VIDEO)


def test_a_broken_neighbour_does_not_matter(tmp_path):
    zarr.open_group(str(tmp_path / "a"), mode="w")
    save_zarr(tmp_path / "a", name="z")
    (tmp_path / "a" / "b").mkdir()
    (tmp_path / "a" / "b" / "zarr.json").write_text("{")
    assert np.array_equal(open_latents(tmp_path / "a")[:].numpy(), VIDEO)
    with pytest.raises(LatentsError, match="'b': unreadable metadata"):
        open_latents(tmp_path / "a", key="c")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_empty_group_is_refused(tmp_path, version):
    zarr.open_group(str(tmp_path / "a"), mode="w", zarr_format=version)
    with pytest.raises(LatentsError, match="found no arrays"):
        open_latents(tmp_path / "a")


def test_zarr_folders_in_folders_patterns_and_mosaics(tmp_path):
    for number, latent in enumerate(VIDEO):
        save_zarr(tmp_path / f"f{number}.zarr", latent)
    for place in [tmp_path, tmp_path / "f%d.zarr"]:
        source = open_latents(place)
        assert np.array_equal(source[:].numpy(), VIDEO)
        assert "3 .zarr files" in source.describe()
    for column, part in enumerate(np.split(VIDEO[0], [6], axis=2)):
        save_zarr(tmp_path / f"0_{column}.zarr", part)
    source = open_latents(tmp_path / "{row}_{column}.zarr")
    assert np.array_equal(source[0].numpy(), VIDEO[0])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("fill", [1.5, float("nan")])
def test_missing_chunks_are_the_fill_value(tmp_path, version, fill):
    path = save_zarr(tmp_path / "a", version=version, chunks=(1, 4, 10, 11), fill_value=fill)
    chunk_files(path)[1].unlink()
    source = open_latents(path)
    expected = torch.full((4, 10, 11), fill)
    assert torch.equal(source[1].nan_to_num(7), expected.nan_to_num(7))
    assert np.array_equal(source[2].numpy(), VIDEO[2])
    if np.isnan(fill):
        with pytest.raises(NonFiniteError, match="latent 1"):
            check_finite(source.region(1, slice(0, 2), slice(0, 2)), 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_without_zarr_the_command_that_installs_it_is_named(tmp_path, monkeypatch, version):
    path = save_zarr(tmp_path / "a", version=version)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'taesd-stream\[gigapixel\]'"):
        open_latents(path)
    np.save(tmp_path / "b.npy", VIDEO)
    assert len(open_latents(tmp_path / "b.npy")) == 3
