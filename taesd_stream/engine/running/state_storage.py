"""Storage of tiles' states while other tiles have their turn: on the device, host or disk."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from taesd_stream.models.layers.tile_state import LayerStates
from tiling import StorageKind
from video.safe_files.scratch import ScratchFile

__all__ = ["StateStorage", "storage_on"]


class StateStorage(Protocol):
    """Keeps the states of tiles."""

    def put(self, kept: LayerStates) -> Callable[[], LayerStates]:
        """Take in a tile's state; the function returned brings it back to the device."""


class _Device:
    """States stay where they were made."""

    def put(self, kept: LayerStates) -> Callable[[], LayerStates]:
        return lambda: kept


class _Host:
    """States of a GPU's tiles, in the host's memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def put(self, kept: LayerStates) -> Callable[[], LayerStates]:
        here = {layer: tensor.to("cpu") for layer, tensor in kept.items()}
        return lambda: {layer: tensor.to(self._device) for layer, tensor in here.items()}


class ScratchStorage:
    """States in a scratch file, where those that come take the places of those that are gone."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._file = ScratchFile()

    def put(self, kept: LayerStates) -> Callable[[], LayerStates]:
        records = {layer: _Record(self._file, tensor) for layer, tensor in kept.items()}
        return lambda: {layer: record.read(self._device) for layer, record in records.items()}


class _Record:
    """One tensor's place in a scratch file, which is free again when this is gone."""

    def __init__(self, file: ScratchFile, tensor: Tensor) -> None:
        self._file, self._dtype = file, tensor.dtype
        # The memory format that it has, so that it comes back as it was.
        rows = tensor.permute(0, 2, 3, 1)
        self._rows_shape = rows.shape
        plain = rows.flatten().to("cpu").view(torch.uint8)
        self._place = file.add(plain.numpy().data)
        weakref.finalize(self, file.free, self._place, plain.numel()).atexit = False

    def read(self, device: torch.device) -> Tensor:
        rows = torch.empty(self._rows_shape, dtype=self._dtype)
        self._file.read_into(self._place, rows.flatten().view(torch.uint8).numpy().data)
        return rows.permute(0, 3, 1, 2).to(device)


def storage_on(name: StorageKind, device: torch.device) -> StateStorage:
    """The storage of a name: "device", "host" or "scratch"."""
    if name == "scratch":
        return ScratchStorage(device)
    return _Host(device) if name == "host" and device.type != "cpu" else _Device()
