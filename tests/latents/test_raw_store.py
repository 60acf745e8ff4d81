"""Files larger than the memory: only what is asked for is read."""

from __future__ import annotations

import json
import struct
import time

import numpy as np
import psutil
import pytest
import torch
from torch.serialization import skip_data

from taesd_stream.latents import open_latents

_FRAME = (4, 512, 512)
_FRAME_BYTES = 2 * 4 * 512 * 512


def _frames_beyond_memory():
    return 2 * psutil.virtual_memory().total // _FRAME_BYTES


def _make_npy(path, frames):
    with path.open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (frames, *_FRAME)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + frames * _FRAME_BYTES)


def _make_safetensors(path, frames):
    entry = {
        "dtype": "F16",
        "shape": [frames, *_FRAME],
        "data_offsets": [0, frames * _FRAME_BYTES],
    }
    header = json.dumps({"latents": entry}).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(file.tell() + frames * _FRAME_BYTES)


def _make_torch(path, frames):
    hole = path.with_suffix(".hole")
    hole.touch()
    with hole.open("r+b") as file:
        file.truncate(frames * _FRAME_BYTES)
    numbers = torch.from_file(
        str(hole), shared=True, size=frames * _FRAME_BYTES // 2, dtype=torch.float16
    )
    with skip_data():
        torch.save(numbers.view(frames, *_FRAME), path)
    hole.unlink()


@pytest.mark.parametrize("make", [_make_npy, _make_safetensors, _make_torch])
def test_a_file_twice_as_large_as_the_memory_opens_at_once(tmp_path, make):
    path = tmp_path / f"large{make.__name__}"
    frames = _frames_beyond_memory()
    try:
        make(path, frames)
    except OSError as error:
        pytest.skip(f"this file system makes no sparse file of that size: {error}")
    assert path.stat().st_blocks * 512 < 2**24
    open_latents(torch.zeros(2, *_FRAME))[0]
    before = psutil.Process().memory_info().rss
    started = time.perf_counter()
    with open_latents(path) as source:
        assert len(source) == frames
        for index in [0, frames // 2, -1, *range(0, 60)]:
            assert not source[index].any()
        assert source[-3:].shape == (3, *_FRAME)
        grown = psutil.Process().memory_info().rss - before
    assert time.perf_counter() - started < 5
    # 60 latents were read, of which no more than one is to be held.
    assert grown < 16 * _FRAME_BYTES
