"""Architectures with a quarter of their channels: the same layers, a sixteenth of the arithmetic.

For tests of what depends on how layers follow each other, and not on how wide they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import pytest

from taesd_stream.models import architectures, variant_named, video_architectures
from taesd_stream.models.network import Network
from taesd_stream.models.variant import Variant

__all__ = ["narrowed", "shapes_of"]

_WITH_WIDTHS = ("Conv", "GlobalPool", "TimeGrow", "TimePool")


@lru_cache(maxsize=32)
def narrowed(name: str) -> Variant:
    """A variant of narrow networks."""
    wide = variant_named(name)
    encoder = None if wide.encoder is None else partial(_narrow, wide.encoder)
    return replace(wide, decoder=partial(_narrow, wide.decoder), encoder=encoder)


def shapes_of(variant: Variant) -> Mapping[str, tuple[int, ...]]:
    """The shapes of a checkpoint of it."""
    halves = {"decoder": variant.decoder, "encoder": variant.encoder}
    return {
        f"{role}.{key}": shape
        for role, make in halves.items()
        if make is not None
        for key, shape in make().shapes().items()
    }


def _narrow(make: Callable[..., Network], **options: Any) -> Network:
    with pytest.MonkeyPatch.context() as patch:
        for module in (architectures, video_architectures):
            for name in _WITH_WIDTHS:
                if hasattr(module, name):
                    patch.setattr(module, name, partial(_with_quarters, getattr(module, name)))
        return make(**options)


def _with_quarters(layer: Callable[..., Any], *sizes: int, **options: Any) -> Any:
    options = {key: _quarter(value) for key, value in options.items()}
    return layer(*map(_quarter, sizes), **options)


def _quarter(size: Any) -> Any:
    """A fourth of what is a width; kernels, strides, latents' and images' channels are smaller."""
    return size // 4 if isinstance(size, int) and size >= 64 else size
