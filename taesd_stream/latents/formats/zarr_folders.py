"""Latents in Zarr folders, versions 2 and 3, read chunk by chunk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from taesd_stream.errors import InputError
from taesd_stream.latents.array_choice import ArrayInfo, choose_key, short
from taesd_stream.latents.checks import as_latents_errors, require_floating
from taesd_stream.latents.opening_stores import open_store
from taesd_stream.latents.read_options import ReadOptions
from taesd_stream.latents.source import Store
from taesd_stream.latents.tensors import torch_dtype_of
from video.large.zarr_arrays import ZarrNode

if TYPE_CHECKING:
    import torch

    from taesd_stream.latents.source import StoredSource
    from video.large.zarr_folders import ZarrFolder

__all__ = ["open_zarr"]


def open_zarr(folder: Path | ZarrFolder, options: ReadOptions) -> StoredSource:
    """A source for a Zarr array, or for one of the arrays that a group holds.

    Raises:
        LatentsError: the metadata are broken, or the array cannot be latents or be read safely.
        MissingExtraError: zarr is not installed.
    """
    named = str(folder) if isinstance(folder, Path) else folder.name
    with as_latents_errors():
        node = ZarrNode.of(folder)
        if node.is_array:
            options.without_key(named)
        else:
            infos = {key: _info_of(node, key) for key in node.members}
            key = choose_key(infos, options, named)
            named = f"{named}[{short(key)}]"
            node = node.member(key, named)
        store = _ZarrStore(node)
    kind = f"a Zarr v{node.version} array in chunks of {store.chunks}"
    return open_store(store, options, name=named, kind=kind)


class _ZarrStore(Store):
    """A Zarr array of floating-point numbers."""

    def __init__(self, node: ZarrNode) -> None:
        if node.dtype is None:
            require_floating(node.dtype_name, node.name)
        else:
            self.dtype = torch_dtype_of(node.dtype, node.name)
        self._array = node.open()
        self.shape, self.chunks = self._array.shape, self._array.chunks

    def copy_to(self, out: torch.Tensor, index: tuple[slice, ...]) -> None:
        if out.numel() == 0:
            return
        with as_latents_errors():
            np.copyto(out.numpy(), self._array.read(index))


def _info_of(group: ZarrNode, key: str) -> ArrayInfo:
    """Describe an entry of a group, which may be a broken one."""
    try:
        node = group.member(key)
    except InputError:
        return ArrayInfo("unreadable metadata")
    if not node.is_array:
        return ArrayInfo("a group")
    is_floating = node.dtype is not None and node.dtype.kind == "f"
    return ArrayInfo(node.dtype_name, node.shape, is_floating)
