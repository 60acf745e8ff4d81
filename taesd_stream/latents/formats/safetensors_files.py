"""Latents in .safetensors files, and in ComfyUI's .latent files, which are the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch

from taesd_stream.latents.array_choice import ArrayInfo, choose_key, short
from taesd_stream.latents.checks import refuse_broken, require_floating
from taesd_stream.latents.formats.safetensors_header import SafetensorsHeader
from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.latents.opening_stores import open_store
from taesd_stream.latents.raw_store import RawStore, row_major
from taesd_stream.latents.read_options import ReadOptions

if TYPE_CHECKING:
    from taesd_stream.latents.raw_store import StoredBytes
    from taesd_stream.latents.source import StoredSource

__all__ = ["COMFYUI_MARKER", "SAFETENSORS_DTYPES", "open_safetensors"]

SAFETENSORS_DTYPES: Final = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
"""The dtypes that latents can have, by the format's names for them."""

COMFYUI_MARKER: Final = "latent_format_version_0"
"""The empty array by which ComfyUI's .latent says that its numbers are in the full VAE's scale."""


def open_safetensors(file_bytes: StoredBytes, options: ReadOptions) -> StoredSource:
    """A source for one tensor of a .safetensors file; the numbers are left where they are."""
    name = file_bytes.name
    found = f"{name}: expected a .safetensors file, found a broken one"
    with (
        refuse_broken(found, "copy or save it anew", ValueError, OSError),
        file_bytes.open() as file,
    ):
        header = SafetensorsHeader(file, file_bytes.size)
    infos = {
        key: ArrayInfo(entry["dtype"], tuple(entry["shape"]), entry["dtype"] in SAFETENSORS_DTYPES)
        for key, entry in header.entries.items()
    }
    key = choose_key(infos, options, name)
    entry = header.entries[key]
    named = f"{name}[{short(key)}]"
    if entry["dtype"] not in SAFETENSORS_DTYPES:
        require_floating("uint8" if entry["dtype"] == "U8" else entry["dtype"], named)
    store = RawStore(
        file_bytes,
        header.start + entry["data_offsets"][0],
        entry["shape"],
        row_major(entry["shape"]),
        SAFETENSORS_DTYPES[entry["dtype"]],
    )
    metadata = LatentMetadata.read(header.metadata)
    if key == "latent_tensor":
        # ComfyUI's LoadLatent (nodes.py) multiplies by 1 / 0.18215 where its marker is not there.
        metadata = replace(
            metadata, convention="vae" if COMFYUI_MARKER in header.entries else "model"
        )
    return open_store(store, options, name=named, kind="a .safetensors file", metadata=metadata)
