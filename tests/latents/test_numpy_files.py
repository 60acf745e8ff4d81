""".npy and .npz: headers are not believed, and nothing is unpickled."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest
import torch

from taesd_stream.errors import LatentsError
from taesd_stream.latents import open_latents

_VIDEO = torch.linspace(-3, 3, 6 * 4 * 2 * 3).reshape(6, 4, 2, 3)


class _Bomb:
    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return open, (str(self._path), "w")


def _npy_bytes(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _npy_header(fields, version=1):
    text = repr(fields).encode().ljust(118) + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text


def test_objects_in_an_npy_never_run(tmp_path):
    trap = tmp_path / "trap"
    array = np.full((1, 4, 1, 1), _Bomb(trap))
    data = _npy_bytes(array)
    (tmp_path / "a.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("latents.npy", data)
    for name in ["a.npy", "a.npz"]:
        with pytest.raises(LatentsError, match="object"):
            open_latents(tmp_path / name)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"descr": "<f4", "fortran_order": False, "shape": (10**9, 4, 999, 999)}, "cut short"),
        ({"descr": "<f4", "fortran_order": True, "shape": (10**30, 4, 8, 8)}, "cut short"),
        ({"descr": "<f4", "fortran_order": False, "shape": (-1, 4, 8, 8)}, "broken"),
        ({"descr": "<f4", "fortran_order": False, "shape": (0, 4, 8, 8)}, "empty array"),
        ({"descr": [("a", "<f4")], "fortran_order": False, "shape": (1, 4, 8, 8)}, "void"),
        ({"descr": "<f4", "fortran_order": False, "shape": "abc"}, "broken"),
        ({"descr": "<f4"}, "broken"),
        ("__import__('os').abort()", "broken"),
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_header_that_lies_is_refused(tmp_path, fields, match, version):
    path = tmp_path / "a.npy"
    path.write_bytes(_npy_header(fields, version) + bytes(64))
    with pytest.raises(LatentsError, match=match if version < 3 else "version") as caught:
        open_latents(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_that_claims_more_than_it_is_is_refused(tmp_path, compression):
    fields = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 4, 999, 999)}
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
        archive.writestr("latents.npy", _npy_header(fields) + bytes(64))
    with pytest.raises(LatentsError, match="cut short"):
        open_latents(tmp_path / "a.npz")


def test_a_member_does_not_reach_into_the_next(tmp_path):
    """The second array's bytes would be enough for what the first one's header claims."""
    fields = {"descr": "<f4", "fortran_order": False, "shape": (2, 4, 8, 8)}
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("latents.npy", _npy_header(fields) + bytes(64))
        archive.writestr("more.npy", _npy_bytes(_VIDEO.repeat(9, 1, 1, 1).numpy()))
    with pytest.raises(LatentsError, match="cut short"):
        open_latents(tmp_path / "a.npz")


def test_an_archive_that_inflates_beyond_the_disk_is_refused(tmp_path):
    """Its directory claims an exabyte, and so does the header of the array."""
    shape = (2**40, 4, 256, 256)
    header = _npy_header({"descr": "<f4", "fortran_order": False, "shape": shape})
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("latents.npy", header + bytes(2**16))
        archive.filelist[0].file_size = len(header) + 2**60
    source = open_latents(path)
    with pytest.raises(LatentsError, match="GiB free"):
        source[0]


def test_a_broken_compressed_member_is_refused_when_it_is_read(tmp_path):
    noise = np.random.default_rng(0).random((6, 4, 64, 64))
    np.savez_compressed(tmp_path / "a.npz", noise)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(LatentsError, match="inflated"):
        open_latents(tmp_path / "a.npz")[:]


def test_a_compressed_member_is_inflated_only_as_far_as_it_is_read(tmp_path, monkeypatch):
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spool))
    array = np.zeros((64, 4, 128, 128), np.float32)
    np.savez_compressed(tmp_path / "a.npz", latents=array)
    with open_latents(tmp_path / "a.npz") as source:
        source[3]
        scratch = source._store._source._files[1]
        inflated = scratch.size_bytes
        assert inflated <= array.nbytes / 8
        source[1]
        assert scratch.size_bytes == inflated
        source[-1]
        assert scratch.size_bytes > array.nbytes * 0.9
    assert list(spool.iterdir()) == []


def test_the_keys_of_an_archive_are_listed(tmp_path):
    np.savez(tmp_path / "a.npz", a=_VIDEO, b=_VIDEO.half(), c=np.arange(3))
    with pytest.raises(LatentsError, match=r"'a': float32 \(6, 4, 2, 3\), 'b': float16"):
        open_latents(tmp_path / "a.npz")
    assert torch.equal(open_latents(tmp_path / "a.npz", key="b")[:], _VIDEO.half())


def test_bfloat16_in_an_npy_is_no_number_to_numpy(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 8, 8), "V2"))
    with pytest.raises(LatentsError, match="void"):
        open_latents(tmp_path / "a.npy")
