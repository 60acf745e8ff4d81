"""Latents in memory: tensors, arrays, and lists and mappings of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from taesd_stream.errors import LatentsError
from taesd_stream.latents.array_choice import ArrayInfo, choose_key
from taesd_stream.latents.checks import FLOATING_DTYPES, dtype_name, require_floating
from taesd_stream.latents.joined_source import join
from taesd_stream.latents.opening_stores import open_store
from taesd_stream.latents.read_options import ReadOptions
from taesd_stream.latents.source import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from taesd_stream.latents.source import StoredSource

__all__ = ["ArrayStore", "TensorStore", "open_content", "torch_dtype_of"]

_TORCH_DTYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}


def torch_dtype_of(dtype: np.dtype[np.generic], name: str) -> torch.dtype:
    """The torch dtype of a NumPy array of latents, in any byte order.

    Raises:
        LatentsError: the dtype is not floating, or torch has none such.
    """
    if dtype.name not in _TORCH_DTYPES:
        require_floating(dtype.name, name)
    return _TORCH_DTYPES[dtype.name]


class TensorStore(Store):
    """A dense tensor, on whatever device it is."""

    def __init__(self, tensor: torch.Tensor, name: str) -> None:
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            what = f"{tensor.device} {str(tensor.layout).removeprefix('torch.')}"
            raise LatentsError(
                f"{name}: expected a dense tensor with numbers in it, found a {what} one: "
                "save the latents as a plain tensor"
            )
        self._tensor = tensor.detach()
        self.shape = tuple(tensor.shape)
        self.dtype = tensor.dtype

    def copy_to(self, out: torch.Tensor, index: tuple[slice, ...]) -> None:
        out.copy_(self._tensor[index])


class ArrayStore(Store):
    """A NumPy array, in any order of axes and bytes."""

    def __init__(self, array: NDArray[Any], name: str) -> None:
        self._array = array
        self.shape = array.shape
        self.dtype = torch_dtype_of(array.dtype, name)

    def copy_to(self, out: torch.Tensor, index: tuple[slice, ...]) -> None:
        np.copyto(out.numpy(), self._array[index])


def open_content(
    content: object,
    options: ReadOptions,
    *,
    name: str,
    kind: str,
    tensor_store: Callable[[torch.Tensor], Store] | None = None,
) -> StoredSource:
    """The source for a tensor, an array, or a list or mapping of these.

    ``tensor_store`` says where the numbers of a tensor are, if they are not in the tensor.
    """
    if isinstance(content, torch.Tensor | np.ndarray):
        store: Store
        if isinstance(content, np.ndarray):
            store = ArrayStore(content, name)
        else:
            store = tensor_store(content) if tensor_store else TensorStore(content, name)
        return open_store(store, options.without_key(name), name=name, kind=kind)
    again = partial(open_content, kind=kind, tensor_store=tensor_store)
    if isinstance(content, Mapping):
        named = {str(key): value for key, value in content.items()}
        chosen = choose_key({key: _info(value) for key, value in named.items()}, options.key, name)
        return again(named[chosen], replace(options, key=None), name=f"{name}[{chosen!r}]")
    if isinstance(content, list | tuple):
        openers = [
            partial(_open_item, again, item, f"{name}[{number}]")
            for number, item in enumerate(content)
        ]
        return join(openers, options.without_key(name), name=name, kind=f"a list in {kind}")
    raise LatentsError(
        f"{name}: expected a tensor, a list of tensors, or a mapping with the key latents, "
        f"found {type(content).__name__}: save the latents as a tensor"
    )


def _open_item(
    open_any: Callable[..., StoredSource], item: object, name: str, options: ReadOptions
) -> StoredSource:
    axes = item.ndim if isinstance(item, torch.Tensor | np.ndarray) else 0
    return open_any(item, options.for_item(axes), name=name)


def _info(value: object) -> ArrayInfo:
    if isinstance(value, torch.Tensor):
        shape = tuple(value.shape)
        return ArrayInfo(dtype_name(value.dtype), shape, value.dtype in FLOATING_DTYPES)
    if isinstance(value, np.ndarray):
        return ArrayInfo(value.dtype.name, value.shape, value.dtype.name in _TORCH_DTYPES)
    return ArrayInfo(type(value).__name__)
