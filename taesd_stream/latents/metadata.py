"""Facts that a file of latents says of them, beside their numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from taesd_stream.models.latent_spaces import CONVENTIONS, Convention

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LatentMetadata"]

_CONVENTION = "convention"
_RATE = "frames_per_second"
_SIZE = "pixels"


@dataclass(frozen=True)
class LatentMetadata:
    """What is known of latents beside their numbers; None where nobody said.

    Attributes:
        convention: their scale: see ``models.latent_spaces``.
        frames_per_second: the rate of the video that they were made of.
        size: height and width in pixels of its pictures, where these are known: a side need be no
            multiple of a latent's.

    >>> known = LatentMetadata("vae", Fraction(30000, 1001), (47, 63))
    >>> known.as_strings()
    {'convention': 'vae', 'frames_per_second': '30000/1001', 'pixels': '63x47'}
    >>> LatentMetadata.read(known.as_strings()) == known
    True
    """

    convention: Convention | None = None
    frames_per_second: Fraction | None = None
    size: tuple[int, int] | None = None

    def as_strings(self) -> dict[str, str]:
        """The facts that are known, as .safetensors files keep them: names and strings."""
        size = None if self.size is None else f"{self.size[1]}x{self.size[0]}"
        facts = {_CONVENTION: self.convention, _RATE: self.frames_per_second, _SIZE: size}
        return {name: str(fact) for name, fact in facts.items() if fact is not None}

    @classmethod
    def read(cls, strings: Mapping[str, object]) -> LatentMetadata:
        """The facts among what a file says; what makes no sense is left out, for files are others'.

        >>> LatentMetadata.read({"convention": "mine", "pixels": "63 by 47"})
        LatentMetadata(convention=None, frames_per_second=None, size=None)
        """
        facts = {name: strings.get(name) for name in (_CONVENTION, _RATE, _SIZE)}
        said = {name: fact if isinstance(fact, str) else "" for name, fact in facts.items()}
        convention = next((each for each in CONVENTIONS if said[_CONVENTION] == each), None)
        rate = re.fullmatch(r"(\d{1,12})(?:/(\d{1,12}))?", said[_RATE])
        size = re.fullmatch(r"([1-9]\d{0,8})x([1-9]\d{0,8})", said[_SIZE])
        numbers = (int(rate[1]), int(rate[2] or 1)) if rate else (0, 0)
        return cls(
            convention,
            Fraction(*numbers) if all(numbers) else None,
            (int(size[2]), int(size[1])) if size else None,
        )
