"""The options of reading latents: as users give them, and as one array is read with them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from taesd_stream.errors import InputError, LatentsError
from taesd_stream.latents.layouts import KNOWN_CHANNELS
from taesd_stream.latents.packing import PACKED
from taesd_stream.models.latent_spaces import Convention, checked_convention

__all__ = ["LatentOptions", "ReadOptions"]


@dataclass(frozen=True)
class LatentOptions:
    """The keywords of ``open_latents``, which explains them, but for the channels.

    Raises:
        InputError: one of them makes no sense.
    """

    layout: str | None = None
    key: str | None = None
    convention: Convention | None = None
    size: tuple[int, int] | None = None
    skip_latents: int = 0

    def __post_init__(self) -> None:
        if self.convention is not None:
            checked_convention(self.convention)
        if type(self.skip_latents) is not int or self.skip_latents < 0:
            raise InputError(
                f"skip latents: expected a number from 0 up, found {self.skip_latents!r}"
            )
        sides = self.size if isinstance(self.size, tuple | list) else ()
        is_size = len(sides) == 2 and all(type(side) is int and side > 0 for side in sides)
        if self.size is not None and not is_size:
            raise InputError(
                f"size: expected height and width of a picture in pixels, found {self.size!r}"
            )


@dataclass(frozen=True)
class ReadOptions:
    """The options that one array is read with.

    ``layout``, ``channels``, ``key`` and ``size`` are what ``open_latents`` was given. ``alike`` is
    the layout of the first part of the same list or folder: it is taken where the axes fit several.
    """

    layout: str | None = None
    channels: frozenset[int] | None = None
    key: str | None = None
    alike: str | None = None
    size: tuple[int, int] | None = None

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
        letters = len("".join((self.layout or "").split()))
        fits = self.layout == PACKED or letters == axes
        return replace(self, layout=self.layout if fits else None, key=None)
