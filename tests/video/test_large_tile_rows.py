from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.video.test_large_pyramid import noise, strips
from video.large.row_buffer import RowBuffer
from video.large.tile_rows import TileRow, TileRows

QUIET = [HealthCheck.function_scoped_fixture]


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    cuts=st.lists(st.integers(0, 1000), max_size=6),
    side=st.integers(1, 12),
    memory_bytes=st.sampled_from([0, 200, 1 << 20]),
)
def test_tiles_join_to_the_picture(
    tmp_path: Path, *, height: int, width: int, cuts: list[int], side: int, memory_bytes: int
) -> None:
    image = noise(height, width)
    joined = np.zeros_like(image)
    indices: list[int] = []

    def consume(row: TileRow) -> None:
        indices.append(row.index)
        for column, tile in chain.from_iterable(row.blocks(side, memory_bytes)):
            top, left = row.index * side, column * side
            assert tile.shape[0] == row.height == min(side, height - top)
            assert tile.shape[1] == min(side, width - left)
            joined[top : top + side, left : left + side] = tile

    buffer = RowBuffer(min(side, height), width, memory_bytes=memory_bytes, folder=tmp_path)
    rows = TileRows(buffer, height, consume)
    assert buffer.in_file == (min(side, height) * width * 3 > memory_bytes)
    for strip in strips(image, cuts):
        rows.write(strip)
    buffer.close()
    assert indices == list(range(-(-height // side)))
    np.testing.assert_array_equal(joined, image)


@pytest.mark.parametrize("memory_bytes", [0, 1 << 20])
def test_rows_of_a_whole_picture(tmp_path: Path, memory_bytes: int) -> None:
    image = noise(7, 5)
    buffer = RowBuffer(7, 5, memory_bytes=memory_bytes, folder=tmp_path)
    buffer.write(3, image[3:])
    buffer.write(0, image[:3, ::-1][:, ::-1])
    first, last = TileRow.all_of(buffer, 4)
    assert [(row.index, row.height) for row in (first, last)] == [(0, 4), (1, 3)]
    for row, top in ((first, 0), (last, 4)):
        for room, blocks in (
            (1 << 20, [[0, 1, 2]]),
            (2 * 2 * 4 * 3, [[0, 1], [2]]),
            (0, [[0], [1], [2]]),
        ):
            found = list(row.blocks(2, room))
            assert [[column for column, _ in tiles] for tiles in found] == blocks
            pixels = [tile for _, tile in chain.from_iterable(found)]
            np.testing.assert_array_equal(np.concatenate(pixels, 1), image[top : top + 4])
    assert list(tmp_path.iterdir()) == []
    buffer.close()
    buffer.close()


def test_a_file_that_ends_early_is_an_error(tmp_path: Path) -> None:
    buffer = RowBuffer(4, 2, memory_bytes=0, folder=tmp_path)
    buffer.write(0, noise(1, 2))
    with pytest.raises(OSError, match="expected 6 more bytes in a temporary file"):
        buffer.read(0, 2, left=0, right=2)
    buffer.close()
