"""Some latents of a source, in the place of all of them: they travel to where they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray

from taesd_stream.errors import LatentsError
from taesd_stream.latents.metadata import LatentMetadata
from taesd_stream.latents.source import LatentSource

if TYPE_CHECKING:
    from taesd_stream.latents.source import Slices

__all__ = ["Excerpt", "ExcerptSource"]


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """Some latents in a row, and what there is to know of the source that they are of.

    Attributes:
        numbers: (T, C, h, w) of them, as bytes: NumPy has not all dtypes.
        first: The number of the first of them in the source.
        frames: How many latents the source has.
        clips: How many videos these are.
        dtype: The stored dtype.
        metadata: What the source says of them.
    """

    numbers: NDArray[Any]
    first: int
    frames: int
    clips: int
    dtype: torch.dtype
    metadata: LatentMetadata

    @classmethod
    def of(cls, source: LatentSource, wanted: range) -> Excerpt:
        """The latents of these numbers, in a row."""
        latents = source[wanted.start : wanted.stop]
        numbers = latents.view(torch.uint8).numpy()
        if source.frames is None:
            raise TypeError("expected latents that can be indexed")
        return cls(
            numbers, wanted.start, source.frames, source.clips, source.dtype, source.metadata
        )

    def opened(self) -> ExcerptSource:
        """The source that it is of, of which these latents can be read."""
        return ExcerptSource(self)


class ExcerptSource(LatentSource):
    """The source that an excerpt is of; nothing but the excerpt can be read of it.

    Args:
        excerpt: Some of its latents.
    """

    layout = "T C H W"

    def __init__(self, excerpt: Excerpt) -> None:
        self.name = "latents"
        self._bytes, self._dtype, self._first = excerpt.numbers, excerpt.dtype, excerpt.first
        self.frames, self.clips = excerpt.frames, excerpt.clips
        self.metadata = excerpt.metadata
        self.nbytes = self._bytes[0].nbytes * excerpt.frames

    def describe(self) -> str:
        return f"{self.name}: {len(self._bytes)} of {self.frames}, from {self._first} on"

    def close(self) -> None:
        pass

    def _stored(self) -> tuple[tuple[int, ...], torch.dtype]:
        *sizes, width = self._bytes.shape[1:]
        return (self.frames or 0, *sizes, width // self._dtype.itemsize), self._dtype

    def copy_latents(self, out: torch.Tensor, first: int, region: Slices | None = None) -> None:
        start = first - self._first
        if start < 0 or start + len(out) > len(self._bytes):
            raise LatentsError(
                f"{self.name}: expected some of those from {self._first} to"
                f" {self._first + len(self._bytes)}, found {first}"
            )
        part, each = self._bytes[start : start + len(out)], self._dtype.itemsize
        if region is not None:
            rows, columns = region
            part = part[:, :, rows, columns.start * each : columns.stop * each]
        # Processes share these bytes, and cannot write to them.
        out.copy_(torch.from_numpy(part.copy()).view(self._dtype))
