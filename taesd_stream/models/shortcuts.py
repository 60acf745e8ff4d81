"""Shortcuts: what a full VAE may be computed with otherwise than it says, to save time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from taesd_stream.errors import InputError

__all__ = ["EXACT", "Shortcuts"]


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """What is not computed as the network says.

    Attributes:
        fast_norms: Whether norms go by the moments of the picture at reduced size, so that all of
            it is made in one pass, or two where there is attention.
        fast_attention: Latents of a window's side: every pixel attends to those of its own window
            and half of one around it. None is to all of the plane.
    """

    fast_norms: bool = False
    fast_attention: int | None = None

    def __post_init__(self) -> None:
        size = self.fast_attention
        if size is not None and (type(size) is not int or size < 1):
            raise InputError(
                "fast attention: expected the latents of a window's side, from 1 up, found"
                f" {size!r}"
            )

    def __str__(self) -> str:
        words = ["norms estimated"] if self.fast_norms else []
        if self.fast_attention is not None:
            words.append(f"attention within windows of {self.fast_attention} latents")
        return " and ".join(words)


EXACT: Final = Shortcuts()
