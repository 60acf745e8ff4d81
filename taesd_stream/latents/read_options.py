"""The options of reading latents, as ``open_latents`` was given them."""

from __future__ import annotations

from dataclasses import dataclass

from taesd_stream.errors import LatentsError
from taesd_stream.latents.layouts import KNOWN_CHANNELS

__all__ = ["ReadOptions"]


@dataclass(frozen=True)
class ReadOptions:
    """The options that a source is read with.

    ``layout``, ``channels`` and ``key`` are what ``open_latents`` was given. ``alike`` is the
    layout of the first part of the same list or folder: it is taken where the axes fit several.
    """

    layout: str | None = None
    channels: frozenset[int] | None = None
    key: str | None = None
    alike: str | None = None

    @property
    def possible_channels(self) -> frozenset[int]:
        """The channel counts that latents may have."""
        return KNOWN_CHANNELS if self.channels is None else self.channels

    def without_key(self, name: str) -> ReadOptions:
        """Options for a single array without a name; raises LatentsError if a key was asked for."""
        if self.key is not None:
            raise LatentsError(
                f"{name}: expected named arrays because of key={self.key!r}, found a single one: "
                "leave the key out"
            )
        return self

    def for_item(self, axes: int) -> ReadOptions:
        """Options for one array, of ``axes`` axes, of a list; a layout may be the whole list's."""
        fits = self.layout is not None and len("".join(self.layout.split())) == axes
        return ReadOptions(self.layout if fits else None, self.channels, alike=self.alike)
