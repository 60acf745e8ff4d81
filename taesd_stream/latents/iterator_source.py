"""Latents that come one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import torch

from taesd_stream.errors import LatentsError
from taesd_stream.latents.packing import PACKED
from taesd_stream.latents.source import LatentSource
from taesd_stream.latents.tensors import open_content

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taesd_stream.latents.read_options import ReadOptions
    from taesd_stream.latents.source import Slices

__all__ = ["IteratorSource"]


class IteratorSource(LatentSource):
    """Latents that come one by one from an iterator, once, in a number that is not known before.

    ``shape`` and ``layout`` are those of one latent, (C, h, w); asking for them takes the first
    latent from the iterator and keeps it for the iteration.
    """

    layout = "C H W"
    frames = None
    nbytes = None

    def __init__(self, latents: Iterable[object], options: ReadOptions, *, name: str) -> None:
        options.without_key(name)
        layout = "".join((options.layout or "CHW").split()).upper()
        if layout not in ("CHW", PACKED.upper()):
            raise LatentsError(
                f"{name}: expected the layout CHW of an iterator's latents, or packed, "
                f"found {options.layout!r}: leave the layout out, and yield one latent at a time"
            )
        self._latents: Iterator[object] | None = iter(latents)
        self._options = options
        self.name = name
        self._first: torch.Tensor | None = None
        self._known: tuple[tuple[int, ...], torch.dtype] | None = None
        self._started = False

    def __len__(self) -> NoReturn:
        # Python's own functions ask for a length as a hint and expect a TypeError where none is.
        raise TypeError(f"{self.name} has no length before it has been read: see .frames")

    def copy_latents(self, out: torch.Tensor, first: int, region: Slices | None = None) -> None:
        self._numbers()

    def __iter__(self) -> Iterator[torch.Tensor]:
        if self._started:
            raise LatentsError(
                f"{self.name} has been iterated over and cannot start again: make a new iterator"
            )
        self._started = True
        return self._each()

    def describe(self) -> str:
        return f"{self.name}: an iterator of (C, h, w) latents, how many is not known"

    def close(self) -> None:
        closing = getattr(self._latents, "close", None)
        self._latents = self._first = None
        if closing is not None:
            closing()

    def _each(self) -> Iterator[torch.Tensor]:
        expected = self._stored()
        first, self._first = self._first, None
        if first is not None:
            yield first
        del first
        for number, item in enumerate(self._rest(), start=1):
            latent = self._checked(item, number)
            found = tuple(latent.shape), latent.dtype
            if found != expected:
                raise LatentsError(
                    f"{self.name}: expected every latent to be {expected[0]} {expected[1]} as the "
                    f"first is, found {found[0]} {found[1]} at latent {number}: "
                    "give all latents one size and dtype"
                )
            yield latent

    def _stored(self) -> tuple[tuple[int, ...], torch.dtype]:
        """Shape and dtype of the latents; the first of them is taken and kept to learn it."""
        if self._known is None:
            nothing = object()
            item = next(self._rest(), nothing)
            if item is nothing:
                raise LatentsError(
                    f"{self.name}: expected latents, found an iterator that yields none: "
                    "check what makes them"
                )
            self._first = self._checked(item, 0)
            self._known = tuple(self._first.shape), self._first.dtype
        return self._known

    def _rest(self) -> Iterator[object]:
        if self._latents is None:
            raise LatentsError(f"{self.name} is closed: make a new iterator")
        return self._latents

    def _checked(self, item: object, number: int) -> torch.Tensor:
        name = f"{self.name}, latent {number}"
        if not isinstance(item, torch.Tensor | np.ndarray) or item.ndim not in (2, 3):
            found = f"shape {tuple(item.shape)}" if hasattr(item, "shape") else type(item).__name__
            raise LatentsError(
                f"{name}: expected a (C, h, w) tensor, found {found}: yield one a time"
            )
        source = open_content(item, self._options, name=name, kind="memory")
        if len(source) > 1:
            raise LatentsError(
                f"{name}: expected one latent, found {len(source)} that are packed: "
                "yield one a time"
            )
        self._options = replace(self._options, alike=source.part_layout)
        return source[0]
