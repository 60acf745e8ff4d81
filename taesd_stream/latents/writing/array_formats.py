"""The kinds of files that one array is written into: what stands around its numbers, and where."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import torch

from taesd_stream.errors import InputError
from taesd_stream.latents.checks import dtype_name
from taesd_stream.latents.formats.safetensors_files import COMFYUI_MARKER, SAFETENSORS_DTYPES
from taesd_stream.latents.metadata import LatentMetadata
from video.npy_header import npy_header
from video.safe_files.scratch import ScratchFile

__all__ = [
    "ARRAY_SUFFIXES",
    "HEADER_BYTES",
    "LATENT_SUFFIXES",
    "ArrayFormat",
    "InOrder",
    "Reordered",
    "array_format",
    "latent_format",
]

HEADER_BYTES: Final = 512
"""The length of every header, so that it can be written when all sizes are known."""

ARRAY_SUFFIXES: Final = (".npy", ".safetensors")
"""Files of any one array."""

LATENT_SUFFIXES: Final = (".safetensors", ".npy", ".latent", ".pt", ".pth")
"""Files of latents; .npy alone keeps nothing but their numbers."""

_NPY_DTYPES: Final = (torch.uint8, torch.float16, torch.float32, torch.float64)
_SAFETENSORS_NAMES: Final = {
    torch.uint8: "U8",
    **{dtype: name for name, dtype in SAFETENSORS_DTYPES.items()},
}

Shape = tuple[int, ...]


class ArrayFormat(ABC):
    """A kind of file.

    Args:
        key: the array's name, where the file has names.
        metadata: what it says of the array, where it can.
    """

    def __init__(self, key: str, metadata: LatentMetadata) -> None:
        self._key, self._said = key, metadata.as_strings()

    @abstractmethod
    def check_dtype(self, dtype: torch.dtype) -> None:
        """Raise InputError unless files of this kind hold the dtype."""


class InOrder(ArrayFormat):
    """A kind that holds the numbers as they come, behind a header of ``HEADER_BYTES``."""

    @abstractmethod
    def header(self, dtype: torch.dtype, shape: Shape) -> bytes:
        """The header of an array."""


class Reordered(ArrayFormat):
    """A kind that is made of the numbers once all are there, in a scratch file."""

    is_named: ClassVar[bool] = False
    """Whether the scratch file needs a name."""

    @abstractmethod
    def write(self, numbers: ScratchFile, part: Path, dtype: torch.dtype, shape: Shape) -> None:
        """Write the file ``part``; ``shape`` is that of the numbers, in the order they lie in."""


class _Npy(InOrder):
    def check_dtype(self, dtype: torch.dtype) -> None:
        if dtype not in _NPY_DTYPES:
            raise InputError(
                f"expected {self._key} as float16, float32 or float64 for .npy, found {dtype}: "
                "give another dtype, or write .safetensors"
            )

    def header(self, dtype: torch.dtype, shape: Shape) -> bytes:
        return npy_header(shape, np.dtype(dtype_name(dtype)), length=HEADER_BYTES)


class _Safetensors(InOrder):
    def check_dtype(self, dtype: torch.dtype) -> None:
        _check_safetensors(self._key, dtype)

    def header(self, dtype: torch.dtype, shape: Shape) -> bytes:
        return _safetensors_header(self._said, {self._key: (dtype, shape)})


class _ComfyImages(InOrder):
    """ComfyUI's .latent of pictures, (N, C, h, w), as its LoadLatent (nodes.py) reads it."""

    def check_dtype(self, dtype: torch.dtype) -> None:
        _check_safetensors("latent_tensor", dtype)

    def header(self, dtype: torch.dtype, shape: Shape) -> bytes:
        return _comfy_header(self._said, dtype, shape)


class _ComfyVideo(Reordered):
    """ComfyUI's .latent of a video: (T, C, h, w) as they come, (1, C, T, h, w) in the file."""

    def check_dtype(self, dtype: torch.dtype) -> None:
        _check_safetensors("latent_tensor", dtype)

    def write(self, numbers: ScratchFile, part: Path, dtype: torch.dtype, shape: Shape) -> None:
        latents, channels, height, width = shape
        plane = bytearray(height * width * dtype.itemsize)
        with part.open("wb") as file:
            file.write(_comfy_header(self._said, dtype, (1, channels, latents, height, width)))
            for channel in range(channels):
                for latent in range(latents):
                    numbers.read_into((latent * channels + channel) * len(plane), plane)
                    file.write(plane)


class _Torch(Reordered):
    """A dict that ``torch.save`` writes: the tensor, and what is said of it as strings."""

    is_named = True

    def check_dtype(self, dtype: torch.dtype) -> None:
        """Nothing: torch holds all of its dtypes."""

    def write(self, numbers: ScratchFile, part: Path, dtype: torch.dtype, shape: Shape) -> None:
        size = torch.Size(shape).numel()
        mapped = torch.from_file(str(numbers.path), shared=True, size=size, dtype=dtype)
        torch.save({self._key: mapped.view(shape), **self._said}, part)


def array_format(suffix: str, key: str, metadata: LatentMetadata) -> ArrayFormat:
    """The kind of file with one of ``ARRAY_SUFFIXES``."""
    return (_Npy if suffix == ".npy" else _Safetensors)(key, metadata)


def latent_format(suffix: str, metadata: LatentMetadata, *, is_video: bool) -> ArrayFormat:
    """The kind of file with one of ``LATENT_SUFFIXES``.

    Args:
        is_video: whether the latents are one video's and not pictures: ComfyUI's .latent tells them
            apart by their axes.

    Raises:
        InputError: a .latent is asked for latents that are not in the scale it has.
    """
    if suffix in (".pt", ".pth"):
        return _Torch("latents", metadata)
    if suffix != ".latent":
        return array_format(suffix, "latents", metadata)
    if metadata.convention != "vae":
        raise InputError(
            "output: expected latents in the convention vae for .latent, which ComfyUI takes to be"
            f" in the full VAE's scale, found {metadata.convention or 'none said, which is model'}:"
            " write .safetensors, or say convention vae where they have it"
        )
    return (_ComfyVideo if is_video else _ComfyImages)("latent_tensor", metadata)


def _check_safetensors(key: str, dtype: torch.dtype) -> None:
    if dtype not in _SAFETENSORS_NAMES:
        raise InputError(
            f"expected {key} as one of {', '.join(_SAFETENSORS_NAMES.values())} for .safetensors, "
            f"found {dtype}: give another dtype"
        )


def _comfy_header(said: dict[str, str], dtype: torch.dtype, shape: Shape) -> bytes:
    marker = {COMFYUI_MARKER: (torch.float32, (0,))}
    return _safetensors_header(said, {"latent_tensor": (dtype, shape), **marker})


def _safetensors_header(
    said: dict[str, str], arrays: dict[str, tuple[torch.dtype, Shape]]
) -> bytes:
    """The header of a .safetensors file of some arrays, one behind the other."""
    start = 0
    entries: dict[str, object] = {"__metadata__": said} if said else {}
    for key, (dtype, shape) in arrays.items():
        stop = start + torch.Size(shape).numel() * dtype.itemsize
        name = _SAFETENSORS_NAMES[dtype]
        entries[key] = {"dtype": name, "shape": shape, "data_offsets": [start, stop]}
        start = stop
    length = (HEADER_BYTES - 8).to_bytes(8, "little")
    return (length + json.dumps(entries).encode()).ljust(HEADER_BYTES)
