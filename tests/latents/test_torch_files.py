"""Files of torch.save: nothing in them is run, and their numbers stay where they are."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile

import psutil
import pytest
import torch

from taesd_stream.errors import LatentsError
from taesd_stream.latents import open_latents

_VIDEO = torch.linspace(-3, 3, 6 * 4 * 2 * 3).reshape(6, 4, 2, 3)


class _Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return open, (str(self._path), "w")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("suffix", [".pt", ".npy", ".safetensors"])
def test_a_pickle_never_runs(tmp_path, zipped, suffix):
    trap = tmp_path / "trap"
    path = tmp_path / f"a{suffix}"
    content = {"latents": _VIDEO, "more": _Bomb(trap)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(LatentsError) as caught:
        open_latents(path)
    assert "\n" not in str(caught.value)
    assert not trap.exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_bare_pickle_never_runs(tmp_path, protocol):
    trap = tmp_path / "trap"
    path = tmp_path / "a.pt"
    path.write_bytes(pickle.dumps(_Bomb(trap), protocol=protocol))
    with pytest.raises(LatentsError):
        open_latents(path)
    assert not trap.exists()


def test_the_oldest_format_a_tar_archive_never_runs(tmp_path):
    trap = tmp_path / "trap"
    path = tmp_path / "a.pt"
    with tarfile.open(path, "w") as archive:
        for name in ["sys_info", "pickle", "storages", "tensors"]:
            data = pickle.dumps(_Bomb(trap), protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    with pytest.raises(LatentsError, match="tar archive"):
        open_latents(path)
    assert not trap.exists()


def test_a_program_is_refused(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(_VIDEO, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/constants.pkl", b"")
    with pytest.raises(LatentsError, match="TorchScript"):
        open_latents(path)


def test_a_recompressed_archive_is_refused(tmp_path):
    torch.save(_VIDEO, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as stored,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))
    with pytest.raises(LatentsError, match="compressed"):
        open_latents(tmp_path / "b.pt")


def test_numbers_in_the_other_byte_order_are_refused(tmp_path):
    torch.save(_VIDEO, tmp_path / "a.pt")
    data = (tmp_path / "a.pt").read_bytes()
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as stored,
        zipfile.ZipFile(tmp_path / "b.pt", "w") as swapped,
    ):
        for name in stored.namelist():
            content = b"big" if name.endswith("byteorder") else stored.read(name)
            swapped.writestr(name, content)
    assert b"little" in data
    with pytest.raises(LatentsError, match="big"):
        open_latents(tmp_path / "b.pt")


@pytest.mark.parametrize(
    "content",
    [
        _VIDEO.to_sparse(),
        _VIDEO.to("meta"),
        torch.zeros(1).expand(10**6, 4, 8, 8),
        {"latents": _VIDEO.int()},
        [],
        "text",
        None,
    ],
    ids=["sparse", "meta", "expanded", "integers", "empty", "text", "none"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_no_plain_tensor_is_refused(tmp_path, content, zipped):
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(LatentsError) as caught:
        open_latents(tmp_path / "a.pt")[:]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_new_and_old_files_are_read_the_same(tmp_path, zipped):
    wide = torch.cat([_VIDEO, _VIDEO], dim=-1)
    content = {"noise": _VIDEO * 0, "latents": [wide[..., :3], wide[1:3, ..., 3:]]}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    expected = torch.cat([_VIDEO, _VIDEO[1:3]])
    assert torch.equal(open_latents(tmp_path / "a.pt")[:], expected)


def test_a_parameter_is_a_tensor(tmp_path):
    torch.save(torch.nn.Parameter(_VIDEO), tmp_path / "a.pt")
    assert torch.equal(open_latents(tmp_path / "a.pt")[:], _VIDEO)


def test_an_old_file_larger_than_the_memory_is_read_in_part(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(_VIDEO, path, _use_new_zipfile_serialization=False)
    with path.open("r+b") as file:
        file.truncate(2 * psutil.virtual_memory().total)
    assert torch.equal(open_latents(path)[:], _VIDEO)


def test_a_pickle_larger_than_the_memory_is_refused(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(_VIDEO.numpy()))
    with path.open("r+b") as file:
        file.truncate(2 * psutil.virtual_memory().total)
    with pytest.raises(LatentsError, match="read whole"):
        open_latents(path)
