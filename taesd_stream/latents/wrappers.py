"""Programs' wrappers around latents: outputs of pipelines, tuples with None, and their kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch

from taesd_stream.latents.array_choice import ArrayInfo, short
from taesd_stream.latents.checks import FLOATING_DTYPES, dtype_name
from taesd_stream.latents.placed_arrays import PlacedArray

__all__ = ["FilledLater", "Record", "describe_wrapped", "info_of", "without_wrapper"]

_NUMPY_DTYPES: Final = frozenset({"float16", "float32", "float64"})
_DEEPEST: Final = 3
_MOST_LOOKED_AT: Final = 16


@dataclass
class Record:
    """An object as what was saved of it: the name of its class, and its fields."""

    kind: str
    fields: dict[str, object] = field(default_factory=dict)


@dataclass(eq=False)
class FilledLater:
    """What a file makes first and fills then: an array, or a list of objects."""

    content: object = None


def without_wrapper(content: object) -> object:
    """The mapping, list or array that is in an object made for holding it; else the object."""
    if isinstance(content, FilledLater):
        return content.content
    if isinstance(content, Record):
        tensors = content.fields.get("tensors")  # ComfyUI's NestedTensor
        return tensors if isinstance(tensors, list | tuple) else content.fields
    if isinstance(content, np.ndarray) and content.dtype == object:
        return content.tolist()
    if getattr(content, "is_nested", False) is True:
        is_torchs = isinstance(content, torch.Tensor)
        return list(content.unbind() if is_torchs else getattr(content, "tensors", ()))  # type: ignore[attr-defined]
    if not isinstance(content, torch.Tensor | np.ndarray | Mapping) and (
        isinstance(getattr(content, "mean", None), torch.Tensor) and hasattr(content, "logvar")
    ):
        return {"mean": content.mean}  # type: ignore[attr-defined]
    return content


def info_of(value: object, depth: int = 0) -> ArrayInfo:
    """Describe a value of a list or a mapping, as what may be latents or hold some."""
    shown = describe_wrapped(value)
    value = without_wrapper(value)
    if isinstance(value, torch.Tensor):
        is_floating = value.dtype in FLOATING_DTYPES
        return ArrayInfo(dtype_name(value.dtype), tuple(value.shape), is_floating)
    if isinstance(value, np.ndarray):
        return ArrayInfo(value.dtype.name, value.shape, value.dtype.name in _NUMPY_DTYPES)
    if isinstance(value, PlacedArray):
        return ArrayInfo(value.dtype, value.shape, value.is_floating)
    if depth == _DEEPEST or not isinstance(value, Mapping | list | tuple):
        return ArrayInfo(shown)
    inner = list(value.values() if isinstance(value, Mapping) else value)[:_MOST_LOOKED_AT]
    holds = any(info_of(item, depth + 1).may_be_latents for item in inner)
    return ArrayInfo(shown, holds_latents=holds)


def describe_wrapped(value: object) -> str:
    """What a value is, in a few words."""
    if isinstance(value, Record):
        fields = ", ".join(map(short, list(value.fields)[:4]))
        return f"{value.kind} of {fields}" if fields else value.kind
    value = without_wrapper(value)
    if isinstance(value, Mapping):
        return f"a mapping of {len(value)}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return type(value).__name__ if value is not None else "None"
