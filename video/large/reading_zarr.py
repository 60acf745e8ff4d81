"""Zarr pictures as blocks of pixels: one array, or the first picture of an OME-Zarr group."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from video.errors import InputError
from video.large.blocks import Blocks
from video.large.pixels import Alpha, is_picture_type, to_rgb
from video.large.zarr_arrays import ZarrNode

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["open_zarr"]


def open_zarr(path: Path, *, cache_bytes: int) -> tuple[Blocks, tuple[Path, ...]]:
    """A Zarr array, or the first dataset of the first picture of an OME-Zarr group.

    Returns:
        The picture, and the files that say what it is.

    Raises:
        InputError: if it holds no grey or RGB picture of 8 or 16 bits, or cannot be read safely.
        MissingExtraError: if zarr is not installed.
    """
    node = ZarrNode.of(path)
    if node.is_array:
        return _blocks(node, _guessed_axes(node.shape or ()), cache_bytes), tuple(
            path / file for file in node.files
        )
    name, axes = _first_dataset(node.attributes, path)
    array = node.member(name)
    if not array.is_array:
        raise InputError(f"expected an array '{name}' in '{path}'; found a group")
    return _blocks(array, axes, cache_bytes), (
        *(path / file for file in node.files),
        *(path / name / file for file in array.files),
    )


def _first_dataset(attributes: dict[str, Any], path: Path) -> tuple[str, str]:
    """Name and axes of the largest array of the first picture of an OME-Zarr group."""
    try:
        image = attributes.get("ome", attributes)["multiscales"][0]
        axes = [axis if isinstance(axis, str) else axis["name"] for axis in image["axes"]]
        return str(image["datasets"][0]["path"]), "".join(name.lower()[:1] for name in axes)
    except (AttributeError, LookupError, TypeError) as error:
        raise InputError(
            f"expected an OME-Zarr picture (0.4 or 0.5) or a Zarr array at '{path}'; found a group"
            " without multiscales, their axes or their datasets"
        ) from error


def _guessed_axes(shape: tuple[int, ...]) -> str:
    """The axes of an array without names: (H, W), (H, W, C) or (C, H, W), after sizes of one.

    Example:
        >>> _guessed_axes((3, 600, 800)), _guessed_axes((1, 600, 800, 3))
        ('cyx', 'tyxc')
    """
    if len(shape) < 3:
        return "yx"[: len(shape)]
    is_planar = shape[-1] not in (3, 4) and (shape[-3] in (3, 4) or shape[-1] != 1)
    return "tz"[: len(shape) - 3] + ("cyx" if is_planar else "yxc")


def _blocks(node: ZarrNode, axes: str, cache_bytes: int) -> Blocks:
    sizes = node.shape or ()
    shape = dict(zip(axes, sizes, strict=False))
    is_named = len(axes) == len(shape) == len(sizes) and {"y", "x"} <= shape.keys() <= set("tczyx")
    is_flat = shape.get("t", 1) == shape.get("z", 1) == 1 and shape.get("c", 1) in (1, 3, 4)
    if not (is_named and is_flat and is_picture_type(node.dtype)) or 0 in sizes:
        raise InputError(
            f"expected one picture of 8 or 16 bits, grey or RGB, at '{node.folder}'; found "
            f"{node.dtype_name} {sizes} of axes '{axes}'"
        )
    array = node.open()
    chunk = dict(zip(axes, array.chunks, strict=True))
    height, width, high, wide = shape["y"], shape["x"], chunk["y"], chunk["x"]
    alpha: Alpha = "straight" if shape.get("c") == 4 else None
    order = [axis for axis in axes if axis in "yxc"]

    def decode(row: int, column: int) -> NDArray[np.uint8]:
        parts: dict[str, slice] = {
            "y": slice(row * high, min(height, (row + 1) * high)),
            "x": slice(column * wide, min(width, (column + 1) * wide)),
            "c": slice(0, 4),
        }
        pixels = array.read(tuple(parts.get(axis, 0) for axis in axes))
        pixels = pixels.transpose([order.index(axis) for axis in "yxc" if axis in order])
        return to_rgb(pixels if pixels.ndim == 3 else pixels[..., None], alpha)

    channels = 3 if alpha is None else 4
    return Blocks((height, width), (high, wide), decode, cache_bytes=cache_bytes, channels=channels)
