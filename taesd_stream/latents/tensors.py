"""Latents in memory or unpacked from files: tensors, arrays, and lists and mappings of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from taesd_stream.errors import LatentsError
from taesd_stream.latents.array_choice import choose_key, has_usual_key, listing, only_fitting
from taesd_stream.latents.checks import require_floating
from taesd_stream.latents.joined_source import join
from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.latents.opening_stores import open_store
from taesd_stream.latents.placed_arrays import PlacedArray
from taesd_stream.latents.read_options import ReadOptions
from taesd_stream.latents.source import Store
from taesd_stream.latents.wrappers import describe_wrapped, info_of, without_wrapper

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from taesd_stream.latents.array_choice import ArrayInfo
    from taesd_stream.latents.source import StoredSource

__all__ = ["ArrayStore", "TensorStore", "open_content", "torch_dtype_of"]

_log = logging.getLogger("taesd_stream")

_DEEPEST: Final = 6
_MOST_PARTS: Final = 2**16
_DISTRIBUTION: Final = "latent_dist"
_TORCH_DTYPES: Final = {
    "float16": torch.float16,
    "float32": torch.float32,
    "float64": torch.float64,
}


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
    metadata: LatentMetadata | None = None,
    depth: int = 0,
) -> StoredSource:
    """The source for a tensor, an array, or what holds these in lists, mappings and wrappers.

    ``metadata`` is what is known of the numbers, and ``depth`` in how many things they are.

    Raises:
        LatentsError: there are no latents, or several things that may be meant.
    """
    found = describe_wrapped(content)
    content = without_wrapper(content)
    store = _store_of(content, name)
    if store is not None:
        options = options.without_key(name)
        return open_store(store, options, name=name, kind=kind, metadata=metadata)
    again = partial(open_content, kind=kind, metadata=metadata, depth=depth + 1)
    if depth < _DEEPEST and isinstance(content, Mapping):
        named = {str(key): value for key, value in content.items()}
        said = LatentMetadata.read(named)
        if said != LatentMetadata():
            again = partial(again, metadata=said)
        chosen = choose_key({key: info_of(value) for key, value in named.items()}, options, name)
        if chosen == _DISTRIBUTION:  # of a full VAE's encoder, before anything is scaled
            again = partial(again, metadata=LatentMetadata("vae"))
        return again(named[chosen], replace(options, key=None), name=f"{name}[{chosen!r}]")
    if depth < _DEEPEST and isinstance(content, list | tuple):
        items = {f"{name}[{number}]": item for number, item in enumerate(content)}
        meant = _meant(items, options, name)
        if len(meant) == 1 < len(items):
            (only,) = meant
            return again(items[only], options, name=only)
        openers = [partial(_open_item, again, items[item], item) for item in meant]
        return join(openers, options.without_key(name), name=name, kind=f"a list in {kind}")
    raise LatentsError(
        f"{name}: expected a tensor, a list of tensors, or a mapping with the key latents, "
        f"found {found}: save the latents as a tensor"
    )


def _store_of(content: object, name: str) -> Store | None:
    """The numbers of an array; None for everything else."""
    if isinstance(content, np.ndarray):
        return ArrayStore(content, name)
    if isinstance(content, torch.Tensor):
        return TensorStore(content, name)
    return content.store(name) if isinstance(content, PlacedArray) else None


def _meant(items: Mapping[str, object], options: ReadOptions, name: str) -> list[str]:
    """The latents in a list: what is no array is left out, and so is a sound beside a video."""
    if len(items) > _MOST_PARTS:
        raise LatentsError(
            f"{name}: expected at most {_MOST_PARTS} latents in a list, found {len(items)}: "
            "save them as one tensor"
        )
    items = _with_usual_keys(items)
    infos = {item: info_of(value) for item, value in items.items()}
    arrays = {key: info for key, info in infos.items() if info.shape is not None}
    fitting = {key: info for key, info in infos.items() if info.may_be_latents}
    alike = len({info.shape and len(info.shape) for info in infos.values()}) == 1
    only = None if alike else only_fitting(_without_repeats(fitting, items), options)
    if only is not None and len(items) > 1:
        left = {key: info for key, info in infos.items() if key != only and key in arrays}
        if left:
            _log.info("%s: the latents are read, and not %s", only, listing(left))
        return [only]
    nothing = {k: info for k, info in infos.items() if info.shape is None and k not in fitting}
    if not fitting or not nothing:
        return list(items)
    meant = [key for key in items if key not in nothing]
    if len(meant) > 1:
        _log.info("%s: left out, as it is no array: %s", name, listing(nothing))
    return meant


def _without_repeats(
    fitting: Mapping[str, ArrayInfo], items: Mapping[str, object]
) -> dict[str, ArrayInfo]:
    """Each array once: Sana WM returns its latents twice, and cameras between them."""
    seen: set[object] = set()
    kept = {}
    for key, info in fitting.items():
        item = items[key]
        numbers = item.numbers if isinstance(item, PlacedArray) else id(item)
        if numbers not in seen:
            kept[key] = info
        seen.add(numbers)
    return kept


def _with_usual_keys(items: Mapping[str, object]) -> Mapping[str, object]:
    """Of a list of mappings those with latents, where there are some (DiffSynth's caches)."""
    unwrapped = [without_wrapper(item) for item in items.values()]
    if not all(isinstance(item, Mapping) for item in unwrapped):
        return items
    named = {
        key: items[key]
        for key, item in zip(items, unwrapped, strict=True)
        if isinstance(item, Mapping) and has_usual_key(map(str, item))
    }
    return named or items


def _open_item(
    open_any: Callable[..., StoredSource], item: object, name: str, options: ReadOptions
) -> StoredSource:
    shape = info_of(item).shape
    return open_any(item, options.for_item(len(shape or ())), name=name)
