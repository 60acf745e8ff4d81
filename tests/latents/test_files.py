"""Files told by their bytes, folders, patterns and standard input."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
import types

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from taesd_stream.errors import LatentsError
from taesd_stream.latents import open_latents

_VIDEO = torch.linspace(-3, 3, 12 * 4 * 2 * 3).reshape(12, 4, 2, 3)


def _write(path, latents):
    if path.suffix == ".npy":
        np.save(path, latents.numpy())
    elif path.suffix == ".npz":
        np.savez_compressed(path, z=latents.numpy())
    elif path.suffix == ".safetensors":
        save_file({"z": latents.contiguous()}, path)
    else:
        torch.save(latents.clone(), path)


_SUFFIXES = [".npy", ".npz", ".safetensors", ".pt"]


@pytest.mark.parametrize("suffix", _SUFFIXES)
def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path, suffix):
    for number in range(12):
        _write(tmp_path / f"frame{number}{suffix}", _VIDEO[number])
    (tmp_path / "notes.txt").write_text("not latents")
    (tmp_path / f"frame12.part{suffix}").write_bytes(b"unfinished")
    with open_latents(tmp_path) as source:
        assert torch.equal(source[:], _VIDEO)
        assert torch.equal(source[7], _VIDEO[7])
        assert torch.equal(torch.stack(list(source)), _VIDEO)


def test_a_folder_may_hold_chunks(tmp_path):
    for number, (start, stop) in enumerate([(0, 5), (5, 6), (6, 12)]):
        _write(tmp_path / f"{number}.safetensors", _VIDEO[start:stop])
    assert torch.equal(open_latents(tmp_path)[3:10], _VIDEO[3:10])


def test_a_pattern_takes_its_own_files_only(tmp_path):
    for number in range(3, 12):
        _write(tmp_path / f"a{number:03d}.npy", _VIDEO[number])
        _write(tmp_path / f"b{number:03d}.npy", _VIDEO[0])
    assert torch.equal(open_latents(tmp_path / "a%03d.npy")[:], _VIDEO[3:])
    (tmp_path / "a005.npy").unlink()
    with pytest.raises(LatentsError, match=r"no a005\.npy"):
        open_latents(tmp_path / "a%03d.npy")
    with pytest.raises(LatentsError, match=r"c000\.npy"):
        open_latents(tmp_path / "c%03d.npy")
    with pytest.raises(LatentsError, match="no folder"):
        open_latents(tmp_path / "none" / "c%03d.npy")


def test_a_folder_of_wrong_things_is_refused(tmp_path):
    with pytest.raises(LatentsError, match="found none"):
        open_latents(tmp_path)
    _write(tmp_path / "a.npy", _VIDEO)
    _write(tmp_path / "a.pt", _VIDEO)
    with pytest.raises(LatentsError, match=r"2 kinds \(\.npy, \.pt\)"):
        open_latents(tmp_path)
    (tmp_path / "a.pt").unlink()
    _write(tmp_path / "b.npy", _VIDEO[..., :2])
    with pytest.raises(LatentsError, match=r"part 1: .*, found \(4, 2, 2\) float32"):
        open_latents(tmp_path)


@pytest.mark.parametrize("suffix", _SUFFIXES)
def test_the_bytes_count_and_not_the_name(tmp_path, suffix):
    _write(tmp_path / f"a{suffix}", _VIDEO)
    odd = tmp_path / "latents.bin"
    (tmp_path / f"a{suffix}").rename(odd)
    assert torch.equal(open_latents(odd)[:], _VIDEO)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "an empty file"),
        (b"\xff\xd8\xff\xe0" + bytes(99), "a JPEG picture"),
        (b"\0\0\0\x20ftypisom" + bytes(99), "an MP4 video"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs"),
        (b"hello world", "68 65 6c 6c 6f"),
        (b"PK\5\6" + bytes(18), "a zip file of nothing"),
        (b"PK\3\4" + bytes(99), "broken"),
        (b"\x93NUMPY", "broken"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\x80\x02", "broken pickle|without an end"),
        (bytes(257) + b"ustar\x0000" + bytes(512), "a tar archive"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".npy", ".png"])
def test_foreign_and_broken_files_are_refused_in_one_line(tmp_path, suffix, data, match):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    with pytest.raises(LatentsError, match=match) as caught:
        open_latents(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", _SUFFIXES)
def test_a_file_cut_anywhere_is_refused(tmp_path, suffix):
    whole = tmp_path / f"whole{suffix}"
    _write(whole, _VIDEO)
    data = whole.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    for length in [*range(1, len(data), 97), len(data) - 1]:
        cut.write_bytes(data[:length])
        with pytest.raises(LatentsError) as caught:
            open_latents(cut)[:]
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", _SUFFIXES)
def test_noise_in_a_file_never_raises_anything_else(tmp_path, suffix):
    whole = tmp_path / f"whole{suffix}"
    _write(whole, _VIDEO)
    data = np.frombuffer(whole.read_bytes(), np.uint8)
    noisy = tmp_path / f"noisy{suffix}"
    random = np.random.default_rng(0)
    for _ in range(60):
        changed = data.copy()
        places = random.integers(0, min(len(data), 700), 3)
        changed[places] = random.integers(0, 256, 3)
        noisy.write_bytes(changed.tobytes())
        with contextlib.suppress(LatentsError):
            open_latents(noisy)[:]


def test_what_is_not_there_or_not_a_file(tmp_path):
    with pytest.raises(LatentsError, match="No such file"):
        open_latents(tmp_path / "none.pt")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LatentsError, match="standard input"):
        open_latents(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    _write(tmp_path / "a.npy", _VIDEO)
    (tmp_path / "a.npy").chmod(0)
    with pytest.raises(LatentsError, match="permissions"):
        open_latents(tmp_path / "a.npy")


@pytest.mark.parametrize("suffix", [".npy", ".safetensors", ".pt"])
def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    _write(path, _VIDEO)
    source = open_latents(path)
    assert torch.equal(source[0], _VIDEO[0])
    later = time.time_ns() + 10**9
    os.utime(path, ns=(later, later))
    with pytest.raises(LatentsError, match="changed"):
        source[1]
    path.unlink()
    with pytest.raises(LatentsError, match="No such file"):
        source[1]


@pytest.mark.parametrize("suffix", _SUFFIXES)
def test_standard_input_is_spooled_and_goes_afterwards(tmp_path, monkeypatch, suffix):
    _write(tmp_path / f"a{suffix}", _VIDEO)
    data = (tmp_path / f"a{suffix}").read_bytes()
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spool))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    source = open_latents("-")
    assert torch.equal(source[:], _VIDEO)
    assert source.describe().startswith("standard input")
    source.close()
    del source
    assert list(spool.iterdir()) == []


def test_a_terminal_is_no_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(isatty=lambda: True))
    with pytest.raises(LatentsError, match="terminal"):
        open_latents("-")
