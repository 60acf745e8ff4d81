"""Storage of tiles' states while other tiles have their turn: on the device, host or disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

from taesd_stream.engine.scratch_tensor import ScratchTensor
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
        # In the memory format that is computed in, so that they come back as they were.
        there = {
            layer: ScratchTensor(self._file, tensor.permute(0, 2, 3, 1))
            for layer, tensor in kept.items()
        }
        return lambda: {
            layer: rows.read(self._device).permute(0, 3, 1, 2) for layer, rows in there.items()
        }


def storage_on(name: StorageKind, device: torch.device) -> StateStorage:
    """The storage of a name: "device", "host" or "scratch"."""
    if name == "scratch":
        return ScratchStorage(device)
    return _Host(device) if name == "host" and device.type != "cpu" else _Device()
