"""Latents files: complete under their name, or not there."""

from __future__ import annotations

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from taesd_stream.errors import InputError
from taesd_stream.latents import LatentWriter, open_latents, save_latents

_VIDEO = torch.linspace(-3, 3, 5 * 4 * 2 * 3).reshape(5, 4, 2, 3)


def _load(path):
    if path.suffix == ".npy":
        return torch.from_numpy(np.load(path, allow_pickle=False))
    return load_file(path)["latents"]


@pytest.fixture(params=[".npy", ".safetensors"])
def suffix(request):
    return request.param


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_other_libraries_read_what_is_written(tmp_path, suffix, dtype):
    path = tmp_path / f"a{suffix}"
    with LatentWriter(path) as writer:
        assert writer.part_path == tmp_path / f"a.part{suffix}"
        for latent in _VIDEO.to(dtype):
            writer.write(latent)
            assert not path.exists()
    assert writer.frames_written == 5
    assert (writer.part_path, writer.kept_part) == (None, None)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert torch.equal(_load(path), _VIDEO.to(dtype))
    assert torch.equal(open_latents(path)[:], _VIDEO.to(dtype))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn])
def test_dtypes_that_only_safetensors_has(tmp_path, dtype):
    save_latents(tmp_path / "a.safetensors", _VIDEO, dtype=dtype)
    assert torch.equal(_load(tmp_path / "a.safetensors").float(), _VIDEO.to(dtype).float())
    with pytest.raises(InputError, match="float16, float32 or float64"):
        save_latents(tmp_path / "a.npy", _VIDEO, dtype=dtype)
    with pytest.raises(InputError, match="float16, float32 or float64"):
        save_latents(tmp_path / "a.npy", _VIDEO.to(dtype))
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_any_source_can_be_saved(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    strided = _VIDEO.movedim(1, 0).contiguous()
    with open_latents(strided, layout="CTHW") as source:
        saved = save_latents(path, source, dtype=torch.float16)
        assert torch.equal(source[0], _VIDEO[0])
    assert (saved.path, saved.frames, saved.clipped_values) == (path, 5, 0)
    assert torch.equal(_load(path), _VIDEO.half())
    save_latents(path, iter(_VIDEO), overwrite=True)
    assert torch.equal(_load(path), _VIDEO)
    save_latents(path, path, dtype=torch.float16, overwrite=True)
    assert torch.equal(_load(path), _VIDEO.half())


def test_an_interrupt_leaves_a_valid_file(tmp_path, suffix):
    writer = LatentWriter(tmp_path / f"a{suffix}")

    def interrupted():
        with writer:
            writer.write(_VIDEO[0])
            writer.write(_VIDEO[1])
            writer._file.write(b"half a latent")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert writer.kept_part == tmp_path / f"a.part{suffix}"
    assert list(tmp_path.iterdir()) == [writer.kept_part]
    assert torch.equal(_load(writer.kept_part), _VIDEO[:2])


def _fail(writer, frames, error):
    with writer:
        for latent in _VIDEO[:frames]:
            writer.write(latent)
        raise error


@pytest.mark.parametrize(
    ("frames", "error"), [(2, RuntimeError()), (0, KeyboardInterrupt()), (2, SystemExit())]
)
def test_any_other_failure_leaves_nothing(tmp_path, suffix, frames, error):
    writer = LatentWriter(tmp_path / f"a{suffix}")
    with pytest.raises(type(error)):
        _fail(writer, frames, error)
    assert (writer.kept_part, writer.part_path) == (None, None)
    assert list(tmp_path.iterdir()) == []


def test_nothing_written_is_an_error(tmp_path, suffix):
    with pytest.raises(InputError, match="found none"), LatentWriter(tmp_path / f"a{suffix}"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"precious")
    with pytest.raises(InputError, match="exists"):
        save_latents(path, _VIDEO)
    assert path.read_bytes() == b"precious"
    with pytest.raises(RuntimeError):
        _fail(LatentWriter(path, overwrite=True), 2, RuntimeError())
    assert path.read_bytes() == b"precious"
    save_latents(path, _VIDEO, overwrite=True)
    assert torch.equal(_load(path), _VIDEO)


def test_a_file_that_appears_meanwhile_is_kept_and_so_are_the_latents(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    writer = LatentWriter(path)

    def overtaken():
        with writer:
            writer.write(_VIDEO[0])
            path.write_bytes(b"precious")

    with pytest.raises(InputError, match=r"a\.part"):
        overtaken()
    assert path.read_bytes() == b"precious"
    assert torch.equal(_load(writer.kept_part), _VIDEO[:1])


def test_what_an_earlier_run_has_left_is_kept(tmp_path, suffix):
    (tmp_path / f"a.part{suffix}").write_bytes(b"left")
    with LatentWriter(tmp_path / f"a{suffix}") as writer:
        assert writer.part_path == tmp_path / f"a.part2{suffix}"
        writer.write(_VIDEO[0])
    assert (tmp_path / f"a.part{suffix}").read_bytes() == b"left"


@pytest.mark.parametrize(
    ("latent", "match"),
    [
        (_VIDEO, r"\(5, 4, 2, 3\)"),
        (_VIDEO[0, :, :, :2], r"\(4, 2, 3\), found \(4, 2, 2\) at number 1"),
        (_VIDEO[0].int(), "int32"),
        (_VIDEO[0, :0], "found shape"),
    ],
)
def test_what_is_no_latent_like_the_first_is_refused(tmp_path, latent, match):
    with LatentWriter(tmp_path / "a.npy") as writer:
        writer.write(_VIDEO[0])
        with pytest.raises(InputError, match=match):
            writer.write(latent)
    assert len(open_latents(tmp_path / "a.npy")) == 1


def test_names_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"a\.mp4"):
        LatentWriter(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="create it"), LatentWriter(tmp_path / "none" / "a.npy"):
        pass
    (tmp_path / "a.npy").mkdir()
    with pytest.raises(InputError, match="folder"), LatentWriter(tmp_path / "a.npy"):
        pass
    with pytest.raises(InputError, match="with block"):
        LatentWriter(tmp_path / "b.npy").write(_VIDEO[0])


def test_memory_does_not_grow_with_the_number_of_latents(tmp_path, suffix):
    latent = torch.zeros(16, 128, 256)
    with LatentWriter(tmp_path / f"a{suffix}") as writer:
        writer.write(latent)
        before = psutil.Process().memory_info().rss
        for _ in range(50):
            writer.write(latent)
        grown = psutil.Process().memory_info().rss - before
    assert grown < 10 * latent.nbytes
    assert len(open_latents(tmp_path / f"a{suffix}")) == 51
