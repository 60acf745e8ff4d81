"""Mosaics: one latent in a grid of files."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from taesd_stream.errors import LatentsError
from taesd_stream.latents import open_latents, save_latents
from taesd_stream.latents import opening_files as files
from taesd_stream.latents.formats.numpy_files import open_npy, open_npz
from taesd_stream.latents.raw_store import FileBytes

_HEIGHTS = [5, 5, 3]
_WIDTHS = [4, 4, 4, 2]
_WHOLE = torch.linspace(-3, 3, 4 * 13 * 14).reshape(4, 13, 14)


def _tiles():
    for row, part in enumerate(_WHOLE.split(_HEIGHTS, dim=1)):
        for column, tile in enumerate(part.split(_WIDTHS, dim=2)):
            yield row, column, tile.contiguous()


def _save_npy(path, tile):
    np.save(path, tile.numpy())


def _save_npz(path, tile):
    np.savez_compressed(path, latents=tile.numpy())


def _save_pt(path, tile):
    torch.save(tile, path)


def _save_safetensors(path, tile):
    save_file({"latents": tile}, path)


_FORMATS = {
    ".npy": _save_npy,
    ".npz": _save_npz,
    ".pt": _save_pt,
    ".safetensors": _save_safetensors,
}


def _save_tiles(folder: Path, pattern: str, *, start: int = 0) -> Path:
    for row, column, tile in _tiles():
        name = pattern.format(row=row + start, column=column + start)
        _FORMATS[Path(pattern).suffix](folder / name, tile)
    return folder / pattern


@pytest.mark.parametrize("suffix", sorted(_FORMATS))
@pytest.mark.parametrize(
    ("name", "start"),
    [("{row}_{column}", 0), ("y{row:03}x{column:03}", 98), ("{column:02d}-of-{row}", 9)],
)
def test_the_files_of_a_grid_are_one_latent(tmp_path, name, start, suffix):
    pattern = _save_tiles(tmp_path, name + suffix, start=start)
    (tmp_path / f"notes{suffix}").write_text("no part of it")
    (tmp_path / f"0_0.part{suffix}").write_bytes(b"unfinished")
    with open_latents(pattern) as source:
        assert (source.shape, source.layout, source.dtype) == ((4, 13, 14), "C H W", torch.float32)
        assert (source.frames, source.channels, source.height, source.width) == (1, 4, 13, 14)
        assert f"a mosaic of 3 x 4 {suffix} files" in source.describe()
        assert "\n" not in source.describe()
        assert torch.equal(source[0], _WHOLE)
        assert torch.equal(source[:], _WHOLE[None])
        assert torch.equal(source.region(0, slice(3, 12), slice(7, 14)), _WHOLE[:, 3:12, 7:14])


@pytest.fixture(scope="module")
def mosaic(tmp_path_factory):
    return open_latents(_save_tiles(tmp_path_factory.mktemp("tiles"), "{row}_{column}.npz"))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_regions_across_several_files(mosaic, data):
    bounds = [data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2)) for n in (12, 13)]
    rows, columns = (slice(min(pair), max(pair) + 1) for pair in bounds)
    region = mosaic.region(0, rows, columns)
    assert torch.equal(region, _WHOLE[:, rows, columns])
    assert region.is_contiguous()


def test_a_region_reads_the_files_it_touches_and_few_stay_open(tmp_path, monkeypatch):
    pattern = _save_tiles(tmp_path, "{row}_{column}.npz")
    source = open_latents(pattern)
    opened, open_now = [], []

    def recording(path, reading):
        opened.append(path.stem)
        tile = open_npz(FileBytes.of(path, str(path)), reading)
        close = tile.close
        open_now.append(path.stem)
        monkeypatch.setattr(tile, "close", lambda: (close(), open_now.remove(path.stem)))
        return tile

    source._store._open_file = recording
    source.region(0, slice(4, 6), slice(3, 5))
    assert opened == ["0_0", "0_1", "1_0", "1_1"]
    source.region(0, slice(0, 5), slice(0, 4))
    source.region(0, slice(6, 7), slice(4, 5))
    assert len(opened) == 4
    source.region(0, slice(12, 13), slice(13, 14))
    assert opened[4:] == ["2_3"]
    # The one that was used longest ago made room.
    assert sorted(open_now) == ["0_0", "1_0", "1_1", "2_3"]
    source[0]
    assert len(open_now) == 4
    source.close()
    assert open_now == []


def test_files_may_hold_a_batch_or_a_video_of_one(tmp_path):
    for row, column, tile in _tiles():
        np.save(tmp_path / f"{row}_{column}.npy", tile[None, :, None].numpy())
    with open_latents(tmp_path / "{row}_{column}.npy") as source:
        assert torch.equal(source[0], _WHOLE)
        assert torch.equal(source.region(0, slice(4, 6), slice(3, 5)), _WHOLE[:, 4:6, 3:5])


def test_pictures_may_be_the_files_of_a_mosaic(tmp_path):
    for row, column, tile in _tiles():
        save_latents(tmp_path / f"{row}_{column}.png", tile)
    with open_latents(tmp_path / "{row}_{column}.png") as source:
        assert (source[0] - _WHOLE).abs().max() <= 3.01 / 255


def test_a_key_and_a_layout_are_for_each_file(tmp_path):
    for row, column, tile in _tiles():
        save_file({"a": tile, "b": -tile}, tmp_path / f"{row}_{column}.safetensors")
    with open_latents(tmp_path / "{row}_{column}.safetensors", key="b", layout="CHW") as source:
        assert torch.equal(source[0], -_WHOLE)
    with pytest.raises(LatentsError, match=r"0_0\.safetensors.*--key"):
        open_latents(tmp_path / "{row}_{column}.safetensors")


def test_a_single_file_is_a_mosaic_too(tmp_path):
    np.save(tmp_path / "7_3.npy", _WHOLE.numpy())
    assert torch.equal(open_latents(tmp_path / "{row}_{column}.npy")[0], _WHOLE)


def test_a_path_that_exists_is_no_pattern(tmp_path):
    np.save(tmp_path / "{row}_{column}.npy", _WHOLE.numpy())
    assert "an .npy file" in open_latents(tmp_path / "{row}_{column}.npy").describe()


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (["1_2"], "1_2"),
        (["0_0"], "0_0"),
        (["2_3"], "2_3"),
        (["1_0", "1_1", "1_2", "1_3"], "1_0"),
        (["0_1", "1_1", "2_1"], "0_1"),
    ],
)
def test_the_first_file_that_is_missing_is_named(tmp_path, missing, named):
    pattern = _save_tiles(tmp_path, "{row}_{column}.npy")
    for stem in missing:
        (tmp_path / f"{stem}.npy").unlink()
    with pytest.raises(LatentsError, match=rf"rows 0 to 2 .* 0 to 3, found no {named}\.npy: add"):
        open_latents(pattern)


def test_a_file_far_away_is_a_gap_that_is_found_at_once(tmp_path):
    pattern = _save_tiles(tmp_path, "{row}_{column}.npy")
    np.save(tmp_path / f"{10**40}_0.npy", _WHOLE.numpy())
    started = time.perf_counter()
    with pytest.raises(LatentsError, match=r"found no 3_0\.npy"):
        open_latents(pattern)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "name", ["07_1.npy", "1_07.npy", "\u0667_1.npy", "7_1.npy.bak", "a7_1.npy"]
)
def test_a_name_that_is_written_otherwise_is_no_part(tmp_path, name):
    pattern = _save_tiles(tmp_path, "{row}_{column}.npy")
    (tmp_path / name).write_bytes(b"something else")
    assert torch.equal(open_latents(pattern)[0], _WHOLE)


def test_where_nothing_fits(tmp_path):
    with pytest.raises(LatentsError, match=r"files such as 000_0\.npy, found none"):
        open_latents(tmp_path / "{row:03}_{column}.npy")
    with pytest.raises(LatentsError, match="found no folder"):
        open_latents(tmp_path / "none" / "{row}_{column}.npy")


@pytest.mark.parametrize(
    "pattern",
    [
        "{row}.npy",
        "{column}.npy",
        "{row}{column}.npy",
        "{row:03}{column:03}.npy",
        "{row}0{column}.npy",
        "{row}_{row}.npy",
        "{row}_{column}_{row}.npy",
        "{row}_{column:>3}.npy",
        "{row}_{column!r}.npy",
        "{row}/{column}.npy",
        "{row}/{row}_{column}.npy",
    ],
)
def test_a_pattern_that_tells_no_place_is_refused(tmp_path, pattern):
    with pytest.raises(LatentsError, match=r"\{row\} and \{column\} once each") as caught:
        open_latents(tmp_path / pattern)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tile", "match"),
    [
        (torch.zeros(4, 4, 4), r"1_2\.npy: expected .*\(4, 5, 4\) float32 .*, found \(4, 4, 4\)"),
        (torch.zeros(4, 5, 3), r"1_2\.npy: expected .*\(4, 5, 4\) float32 .*, found \(4, 5, 3\)"),
        (torch.zeros(16, 5, 4), r"1_2\.npy: expected .*\(4, 5, 4\) float32 .*, found \(16, 5, 4\)"),
        (torch.zeros(4, 5, 4).half(), r"1_2\.npy: .*, found \(4, 5, 4\) float16"),
        (torch.zeros(2, 4, 5, 4), r"one latent in each file, found 2 in 1_2\.npy"),
        (torch.zeros(4, 5), r"1_2\.npy: expected latents of 3 to 5 axes"),
        (torch.zeros(4, 5, 4, dtype=torch.int32), r"1_2\.npy: expected floating"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path, tile, match):
    pattern = _save_tiles(tmp_path, "{row}_{column}.npy")
    np.save(tmp_path / "1_2.npy", tile.numpy())
    with pytest.raises(LatentsError, match=match) as caught:
        open_latents(pattern)
    assert "\n" not in str(caught.value)


def test_a_broken_file_is_named(tmp_path):
    pattern = _save_tiles(tmp_path, "{row}_{column}.npy")
    (tmp_path / "1_2.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(LatentsError, match=r"1_2\.npy: expected an \.npy header"):
        open_latents(pattern)


def test_files_that_change_or_go_while_they_are_read_are_noticed(tmp_path):
    source = open_latents(_save_tiles(tmp_path, "{row}_{column}.npy"))
    one = slice(0, 1), slice(0, 1)
    source.region(0, *one)
    with (tmp_path / "0_0.npy").open("r+b") as file:
        file.truncate(150)
    with pytest.raises(LatentsError, match=r"0_0\.npy: the file changed"):
        source.region(0, *one)
    np.save(tmp_path / "2_3.npy", np.zeros((4, 2, 2), np.float32))
    with pytest.raises(
        LatentsError, match=r"2_3\.npy: .*\(4, 3, 2\) float32 .*, found \(4, 2, 2\)"
    ):
        source.region(0, slice(12, 13), slice(13, 14))
    (tmp_path / "1_1.npy").unlink()
    with pytest.raises(LatentsError, match=r"1_1\.npy.*No such file"):
        source.region(0, slice(6, 7), slice(5, 6))


def test_regions_outside_the_mosaic_are_refused(mosaic):
    with pytest.raises(LatentsError, match="rows within 0:13 and columns within 0:14"):
        mosaic.region(0, slice(0, 14), slice(0, 1))
    with pytest.raises(IndexError, match="holds 1 latents"):
        mosaic.region(1, slice(0, 1), slice(0, 1))


def test_opening_reads_headers_only(tmp_path, monkeypatch):
    pattern = _save_tiles(tmp_path, "{row}_{column}.npy")
    monkeypatch.setattr(files, "open_npy", lambda *given: _without_numbers(open_npy(*given)))
    assert open_latents(pattern).shape == (4, 13, 14)


def _without_numbers(source):
    def refuse(*_):
        raise AssertionError("numbers were read")

    source._store.copy_to = refuse
    return source


def test_thousands_of_files_open_in_seconds(tmp_path):
    tile = tmp_path / "tile"
    np.save(tile.with_suffix(".npy"), np.ones((4, 2, 2), np.float16))
    for row in range(60):
        for column in range(60):
            (tmp_path / f"{row}_{column}.npy").hardlink_to(tile.with_suffix(".npy"))
    started = time.perf_counter()
    source = open_latents(tmp_path / "{row}_{column}.npy")
    assert time.perf_counter() - started < 5
    assert source.shape == (4, 120, 120)
