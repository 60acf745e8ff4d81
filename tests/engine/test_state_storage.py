"""States come back from wherever they lay as they went, and leave nothing behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from taesd_stream.engine.running.state_storage import ScratchStorage, storage_on
from tiling import StorageKind

CPU = torch.device("cpu")
LAYERS = [nn.Identity() for _ in range(3)]
KINDS: tuple[StorageKind, ...] = ("device", "host", "scratch")

properties = settings(max_examples=20, deadline=None, derandomize=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go in these tests."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().flatten().view(torch.uint8)


def states(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> dict[nn.Module, Tensor]:
    generator = torch.Generator().manual_seed(len(shapes))
    return {
        layer: torch.randn(shape, generator=generator).to(dtype, memory_format=torch.channels_last)
        for layer, shape in zip(LAYERS, shapes, strict=False)
    }


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@properties
@given(shape=st.tuples(*[st.integers(1, 5)] * 4), channels_last=st.booleans())
def test_every_bit_comes_back_every_time(
    name: StorageKind, dtype: torch.dtype, shape: tuple[int, ...], channels_last: bool
) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)
    tensor.flatten()[0] = torch.nan
    if channels_last:
        tensor = tensor.to(memory_format=torch.channels_last)
    fetch = storage_on(name, CPU).put({LAYERS[0]: tensor})
    for _ in range(2):
        found = fetch()
        assert list(found) == [LAYERS[0]]
        assert found[LAYERS[0]].dtype == dtype
        assert found[LAYERS[0]].shape == shape
        assert torch.equal(bits(found[LAYERS[0]]), bits(tensor))


@pytest.mark.parametrize("name", KINDS)
def test_several_tiles_are_kept_apart(name: StorageKind) -> None:
    storage = storage_on(name, CPU)
    tiles = [states((1, 2, 3, index + 1), (2, 1, index + 1, 4)) for index in range(4)]
    fetches = [storage.put(kept) for kept in tiles]
    for fetch, kept in zip(reversed(fetches), reversed(tiles), strict=True):
        found = fetch()
        assert all(torch.equal(found[layer], kept[layer]) for layer in kept)
    assert storage.put({})() == {}


def test_what_comes_from_scratch_is_in_the_format_that_is_computed_in_and_its_own() -> None:
    kept = states((2, 3, 4, 5))
    fetch = storage_on("scratch", CPU).put(kept)
    (first,) = fetch().values()
    assert first.is_contiguous(memory_format=torch.channels_last)
    first.fill_(7)  # it may be written to
    (again,) = fetch().values()
    assert torch.equal(again, kept[LAYERS[0]])


def test_a_scratch_file_holds_what_is_kept_and_no_more(folder: Path) -> None:
    storage = ScratchStorage(CPU)
    kept = states((1, 2, 3, 4), (1, 1, 1, 1))
    first = storage.put(kept)
    assert storage._file.size_bytes == 4 * 24 + 4
    second = storage.put(states((3, 2, 1, 1)))
    assert storage._file.size_bytes == 4 * 24 + 4 + 4 * 6
    del first
    first = storage.put(kept)
    assert storage._file.size_bytes == 4 * 24 + 4 + 4 * 6  # in the places of those that are gone
    assert all(torch.equal(first()[layer], kept[layer]) for layer in kept)
    assert len(second()) == 1
    assert list(folder.iterdir()) == []  # it has no name


def test_a_scratch_file_goes_with_the_last_that_can_fetch_from_it() -> None:
    storage = ScratchStorage(CPU)
    file = storage._file._file
    fetch = storage.put(states((3, 2, 1, 1)))
    del storage
    assert len(fetch()) == 1
    assert not file.closed
    del fetch
    assert file.closed


def test_only_scratch_touches_the_disk(folder: Path) -> None:
    fetches = [storage_on(name, CPU).put(states((1, 2, 3, 4))) for name in ("device", "host")]
    assert all(len(fetch()) == 1 for fetch in fetches)
    assert list(folder.iterdir()) == []


def test_a_device_keeps_the_very_tensors() -> None:
    kept = states((1, 2, 3, 4))
    for name in ("device", "host"):  # on a CPU the host's memory is the device's
        assert storage_on(name, CPU).put(kept)() is kept


def test_from_the_hosts_memory_it_comes_back_to_the_device() -> None:
    """Tensors on this device hold no numbers, but tell where they are."""
    device = torch.device("meta")
    kept = states((1, 2, 3, 4), (2, 1, 5, 3))
    found = storage_on("host", device).put(kept)()
    assert {layer: tensor.shape for layer, tensor in found.items()} == {
        layer: tensor.shape for layer, tensor in kept.items()
    }
    assert all(tensor.device == device for tensor in found.values())
