"""Windows: a part of one latent, and only that, from every kind of source."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st

from taesd_stream.errors import LatentsError, NonFiniteError
from taesd_stream.latents import check_finite, open_latents, save_latents
from taesd_stream.latents.raw_store import RawStore, row_major
from taesd_stream.latents.source import StoredSource
from tests.latents.saving import FRAMES, NUMPY_FORMATS, TORCH_FORMATS, save_legacy


def _in_memory(array, folder):
    return array


def _strided(array, folder):
    return torch.stack([array, array], dim=-1)[..., 1]


def _numpy_array(array, folder):
    return array.numpy()


def _mapping(array, folder):
    return {"latents": array}


def _list(array, folder):
    return list(array)


def _folder(array, folder):
    for number, latent in enumerate(array):
        np.save(folder / f"f{number}.npy", latent.numpy())
    return folder


_IN_MEMORY = [_in_memory, _strided, _numpy_array, _mapping]
_JOINED = [_list, _folder]


@st.composite
def _cases(draw):
    put = draw(st.sampled_from([*NUMPY_FORMATS, *TORCH_FORMATS, *_IN_MEMORY, *_JOINED]))
    layout = "T C H W" if put in _JOINED else draw(st.sampled_from(sorted(FRAMES)))
    sizes = {"C": 4, **{axis: draw(st.integers(1, 6), label=axis) for axis in "NTHW"}}
    shape = [sizes[axis] for axis in layout.split()]
    without_bfloat16 = put in [*NUMPY_FORMATS, _numpy_array, _folder]
    dtype = draw(st.sampled_from([torch.float16, torch.float32, torch.bfloat16]))
    dtype = torch.float64 if without_bfloat16 and dtype == torch.bfloat16 else dtype
    array = torch.linspace(-3, 3, int(np.prod(shape))).reshape(shape).to(dtype)
    return layout, array, put


def _part(draw, size):
    start = draw(st.integers(0, size - 1))
    return slice(start, draw(st.integers(start + 1, size)), draw(st.sampled_from([None, 1])))


@settings(max_examples=60, deadline=None)
@given(_cases(), st.data())
def test_a_region_is_that_part_of_the_latent(case, data):
    layout, array, put = case
    expected = rearrange(array, FRAMES[layout])
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        place = put(array, Path(folder))
        stated = None if put in _JOINED else layout
        source = stack.enter_context(open_latents(place, layout=stated))
        for _ in range(4):
            frame = data.draw(st.integers(-len(expected), len(expected) - 1))
            rows = _part(data.draw, expected.shape[-2])
            columns = _part(data.draw, expected.shape[-1])
            region = source.region(frame, rows, columns)
            assert region.dtype == array.dtype
            assert region.is_contiguous()
            assert torch.equal(region, expected[frame][:, rows, columns])
            assert torch.equal(source.region(frame, rows, columns), source[frame][:, rows, columns])


def test_a_region_of_8_bit_pictures(tmp_path):
    video = torch.rand(3, 4, 9, 7, generator=torch.Generator().manual_seed(0)) * 6 - 3
    save_latents(tmp_path / "%d.png", video)
    for place in [tmp_path, tmp_path / "%d.png"]:
        with open_latents(place) as source:
            region = source.region(1, slice(2, 8), slice(0, 3))
            assert torch.equal(region, source[1][:, 2:8, :3])


def test_what_a_region_returns_belongs_to_the_caller():
    tensor = torch.zeros(2, 4, 6, 6)
    open_latents(tensor).region(0, slice(0, 2), slice(0, 2)).fill_(1)
    assert not tensor.any()


class _RecordingStore:
    """A store that keeps the blocks it is asked for."""

    dtype = torch.float32

    def __init__(self, *shape):
        self.shape = shape
        self.asked = []

    def copy_to(self, out, index):
        assert tuple(out.shape) == tuple(part.stop - part.start for part in index)
        self.asked.append(index)

    def close(self):
        pass


@pytest.mark.parametrize(
    ("layout", "shape", "block"),
    [
        ("C H W", (4, 50, 60), [(0, 4), (7, 9), (20, 31)]),
        ("T C H W", (6, 4, 50, 60), [(5, 6), (0, 4), (7, 9), (20, 31)]),
        ("C T H W", (4, 6, 50, 60), [(0, 4), (5, 6), (7, 9), (20, 31)]),
        ("N C T H W", (2, 4, 3, 50, 60), [(1, 2), (0, 4), (2, 3), (7, 9), (20, 31)]),
        ("N T C H W", (2, 3, 4, 50, 60), [(1, 2), (2, 3), (0, 4), (7, 9), (20, 31)]),
    ],
)
def test_no_more_than_the_region_is_asked_of_the_store(layout, shape, block):
    store = _RecordingStore(*shape)
    source = StoredSource(store, layout, name="a", kind="a test")
    source.region(len(source) - 1, slice(7, 9), slice(20, 31))
    assert store.asked == [tuple(slice(*bounds) for bounds in block)]


class _RecordingBytes:
    name = "bytes"
    most_gap_bytes = None

    def __init__(self, numbers):
        self.data = numbers.view(np.uint8).reshape(-1)
        self.size = self.data.size
        self.spans = []

    def span(self, start, stop):
        self.spans.append((start, stop))
        return self.data[start:stop]

    def close(self):
        pass


def test_a_raw_file_is_mapped_from_the_regions_first_number_to_its_last():
    numbers = np.arange(4 * 50 * 60, dtype=np.float32).reshape(4, 50, 60)
    file = _RecordingBytes(numbers)
    store = RawStore(file, 0, numbers.shape, row_major(numbers.shape), torch.float32)
    source = StoredSource(store, "C H W", name="a", kind="a test")
    region = source.region(0, slice(7, 9), slice(20, 31))
    assert np.array_equal(region.numpy(), numbers[:, 7:9, 20:31])
    first, last = 7 * 60 + 20, (3 * 50 + 8) * 60 + 30
    assert file.spans == [(4 * first, 4 * (last + 1))]


def test_regions_of_a_latent_larger_than_the_memory(tmp_path):
    side, region = 2**16, 256
    while 4 * side**2 * 2 < 2 * psutil.virtual_memory().total:
        side *= 2
    path = tmp_path / "large.npy"
    try:
        with path.open("wb") as file:
            header = {"descr": "<f2", "fortran_order": False, "shape": (4, side, side)}
            np.lib.format.write_array_header_1_0(file, header)
            start = file.tell()
            file.truncate(start + 4 * side**2 * 2)
            file.seek(start + (3 * side + side - 1) * side * 2 + 2 * (side - 1))
            file.write(np.float16(1.5).tobytes())
    except OSError as error:
        pytest.skip(f"this file system makes no sparse file of that size: {error}")
    before = psutil.Process().memory_info().rss
    with open_latents(path) as source:
        with pytest.raises(LatentsError, match="GiB"):
            source[0]
        for place in [0, side // 2, side - region]:
            part = slice(place, place + region)
            corner = source.region(0, part, part)
        assert corner[3, -1, -1] == 1.5
        assert corner.sum() == 1.5
    assert psutil.Process().memory_info().rss - before < 2**25


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (slice(0, 7), slice(0, 3)),
        (slice(0, 3), slice(2, 9)),
        (slice(6, 7), slice(0, 3)),
        (slice(3, 3), slice(0, 3)),
        (slice(0, 3), slice(5, 2)),
        (slice(-2, 3), slice(0, 3)),
        (slice(-2, -1), slice(0, 3)),
        (slice(0, 6, 2), slice(0, 3)),
        (slice(0, 3), slice(3, 0, -1)),
        (slice(None), slice(0, 3)),
        (slice(0, 3), slice(2, None)),
        (slice(0.0, 3.0), slice(0, 3)),
    ],
)
def test_a_region_that_is_none_is_refused_in_one_line(rows, columns):
    source = open_latents(torch.zeros(2, 4, 6, 8))
    with pytest.raises(LatentsError, match="rows within 0:6 and columns within 0:8") as caught:
        source.region(0, rows, columns)
    assert "\n" not in str(caught.value)
    assert f"found rows {rows.start}:{rows.stop}" in str(caught.value)


@pytest.mark.parametrize("frame", [2, -3])
def test_a_region_of_no_latent_is_an_index_error(frame):
    with pytest.raises(IndexError, match="holds 2 latents"):
        open_latents(torch.zeros(2, 4, 6, 8)).region(frame, slice(0, 1), slice(0, 1))


def test_an_iterator_has_no_regions():
    source = open_latents(iter([torch.zeros(4, 6, 8)]))
    with pytest.raises(LatentsError, match="iterate over it"):
        source.region(0, slice(0, 1), slice(0, 1))


def test_a_closed_source_has_no_regions():
    source = open_latents(torch.zeros(2, 4, 6, 8))
    source.close()
    with pytest.raises(LatentsError, match="closed"):
        source.region(0, slice(0, 1), slice(0, 1))


@pytest.mark.parametrize("save", [*NUMPY_FORMATS, *TORCH_FORMATS])
def test_a_file_that_shrinks_while_regions_are_read_is_noticed(tmp_path, save):
    if save is save_legacy:
        pytest.skip("an old torch file is read whole when it is opened")
    path = save(torch.zeros(2, 4, 64, 64), tmp_path)
    source = open_latents(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(LatentsError, match="changed") as caught:
        source.region(1, slice(60, 64), slice(60, 64))
    assert "\n" not in str(caught.value)


def test_files_of_a_folder_that_go_or_shrink_while_regions_are_read(tmp_path):
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", np.zeros((4, 6, 8), np.float32))
    source = open_latents(tmp_path)
    np.save(tmp_path / "1.npy", np.zeros((4, 5, 8), np.float32))
    with pytest.raises(LatentsError, match=r"part 1: .*, found \(4, 5, 8\) float32"):
        source.region(1, slice(0, 1), slice(0, 1))
    (tmp_path / "2.npy").unlink()
    with pytest.raises(LatentsError, match=r"2\.npy.*No such file"):
        source.region(2, slice(0, 1), slice(0, 1))


def test_what_is_not_finite_is_named_by_its_place_in_the_whole_latent():
    latents = torch.zeros(2, 4, 6, 8)
    latents[1, 2, 3, 5] = float("nan")
    region = open_latents(latents).region(1, slice(2, 6), slice(4, 8))
    with pytest.raises(NonFiniteError, match=r"latent 1 .*\(2, 3, 5\), 1 of its 64") as caught:
        check_finite(region, 1, offset=(2, 4))
    assert caught.value.frame == 1
