"""The one of several named arrays that holds the latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import LatentsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ArrayInfo", "choose_key"]

_USUAL_KEYS: Final = ("latents", "samples", "latent_tensor")


@dataclass(frozen=True)
class ArrayInfo:
    """A named array before it is read: the name of its dtype, and its shape.

    Where there is something else under the name, ``kind`` says what, and ``shape`` is None.
    """

    kind: str
    shape: tuple[int, ...] | None = None
    is_floating: bool = False

    def __str__(self) -> str:
        return self.kind if self.shape is None else f"{self.kind} {self.shape}"

    @property
    def may_be_latents(self) -> bool:
        return self.is_floating and self.shape is not None and 3 <= len(self.shape) <= 5


def choose_key(entries: Mapping[str, ArrayInfo], key: str | None, name: str) -> str:
    """Find the one of several named arrays that holds the latents.

    That is ``key`` where it is given, else ``latents``, ``samples`` or ``latent_tensor``, else the
    only floating-point array of 3 to 5 axes.

    >>> choose_key({"z": ArrayInfo("float32", (1, 4, 8, 8), True)}, None, "a.npz")
    'z'
    """
    if key is not None:
        if key in entries:
            return key
        raise LatentsError(f"{name}: expected the key {key!r}, found {_listing(entries)}")
    for usual in _USUAL_KEYS:
        if usual in entries:
            return usual
    fitting = [name for name, info in entries.items() if info.may_be_latents]
    if len(fitting) == 1:
        return fitting[0]
    raise LatentsError(
        f"{name}: expected a key {', '.join(_USUAL_KEYS)} or a single floating-point array of 3 to "
        f"5 axes, found {_listing(entries)}: say which with --key (key= in Python)"
    )


def _listing(entries: Mapping[str, ArrayInfo]) -> str:
    shown = [f"{key!r}: {info}" for key, info in list(entries.items())[:8]]
    more = f" and {len(entries) - 8} more" if len(entries) > 8 else ""
    return ", ".join(shown) + more if shown else "no arrays"
