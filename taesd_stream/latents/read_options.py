"""Options of options latents, as ``open_latents`` was given them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from taesd_stream.errors import LatentsError

__all__ = ["ReadOptions"]


@dataclass(frozen=True)
class ReadOptions:
    """How a source is to be read.

    ``layout``, ``channels`` and ``key`` are what ``open_latents`` was given. ``alike`` is the
    layout of the first part of the same list or folder: it is taken where the axes fit several.
    """

    layout: str | None = None
    channels: frozenset[int] | None = None
    key: str | None = None
    alike: str | None = None

    def without_key(self, name: str) -> ReadOptions:
        """For what holds one array and no names; raises LatentsError if a key was asked for."""
        if self.key is not None:
            raise LatentsError(
                f"{name}: expected named arrays because of key={self.key!r}, found a single one: "
                "leave the key out"
            )
        return self

    def for_entry(self) -> ReadOptions:
        """For what lies under a key that has been found."""
        return replace(self, key=None)

    def for_item(self, axes: int) -> ReadOptions:
        """For one of a list's arrays of ``axes`` axes: a layout may be meant for the whole list."""
        if self.layout is not None and len("".join(self.layout.split())) != axes:
            return ReadOptions(None, self.channels, alike=self.alike)
        return ReadOptions(self.layout, self.channels, alike=self.alike)
