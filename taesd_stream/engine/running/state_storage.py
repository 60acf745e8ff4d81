"""Storage of tiles' states while other tiles have their turn: on the device, host or disk."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from taesd_stream.errors import OutputError
from taesd_stream.models.layers.tile_state import LayerStates
from tiling import format_bytes

__all__ = ["StateStorage", "StorageKind", "no_scratch_left", "storage_on"]

StorageKind: TypeAlias = Literal["device", "host", "scratch"]


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


class ScratchFolder:
    """States in files of their own, in the folder for temporary files.

    Files are mapped while they are copied from, and no longer: of main memory they take what the
    system cares to cache.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._folder = tempfile.mkdtemp(prefix="taesd-stream-")
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._files = 0

    def put(self, kept: LayerStates) -> Callable[[], LayerStates]:
        files = {layer: self._write(tensor) for layer, tensor in kept.items()}
        return lambda: {layer: file.read(self._device) for layer, file in files.items()}

    def _write(self, tensor: Tensor) -> _File:
        self._files += 1
        return _File(os.path.join(self._folder, str(self._files)), tensor)


class _File:
    """One tensor in a file, which goes when this does."""

    def __init__(self, path: str, tensor: Tensor) -> None:
        self._path, self._dtype = path, tensor.dtype
        # The memory format that it has, so that it comes back as it was.
        self._tensor_shape = tensor.permute(0, 2, 3, 1).shape
        plain = tensor.permute(0, 2, 3, 1).flatten().to("cpu").view(torch.uint8)
        try:
            # Not through a map: where the disk is full, that ends the process.
            with open(path, "wb") as file:
                file.write(plain.numpy().data)
        except OSError as error:
            raise no_scratch_left(plain.numel(), error) from error

    def read(self, device: torch.device) -> Tensor:
        with (
            open(self._path, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        ):
            copied = torch.frombuffer(bytearray(mapped), dtype=self._dtype)
        return copied.view(self._tensor_shape).permute(0, 3, 1, 2).to(device)

    def __del__(self) -> None:
        try:
            os.unlink(self._path)
        except OSError:
            return  # with its folder, perhaps


def no_scratch_left(needed_bytes: int, error: OSError) -> OutputError:
    """What to say where a temporary file found no room."""
    return OutputError(
        f"scratch: expected room for {format_bytes(needed_bytes)} in {tempfile.gettempdir()}, found"
        f" {error.strerror}; set TMPDIR to a larger disk, or give more --memory"
    )


def storage_on(name: StorageKind, device: torch.device) -> StateStorage:
    """The storage of a name: "device", "host" or "scratch"."""
    if name == "scratch":
        return ScratchFolder(device)
    return _Host(device) if name == "host" and device.type != "cpu" else _Device()
