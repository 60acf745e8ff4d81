"""Another source's latents, without the first of each clip, or taken in another convention."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from taesd_stream.errors import LatentsError
from taesd_stream.latents.source import LatentSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from taesd_stream.latents.source import Slices
    from taesd_stream.models.latent_spaces import Convention

__all__ = ["PresentedSource"]


class PresentedSource(LatentSource):
    """The latents of another source, presented otherwise; their numbers are as they are stored.

    Args:
        inner: the other source.
        skip: how many latents are left out at the start of each clip.
        convention: their scale, where it is known better than the source itself knows it.
        owns: whether closing this source closes the other one.

    Raises:
        LatentsError: no clip would be left with a latent.
    """

    def __init__(
        self, inner: LatentSource, *, skip: int, convention: Convention | None, owns: bool
    ) -> None:
        self._inner, self._skip, self._owns = inner, skip, owns
        self.name, self.layout, self.clips = inner.name, inner.layout, inner.clips
        self.metadata = inner.metadata
        if convention is not None:
            self.metadata = replace(inner.metadata, convention=convention)
        self.frames = None
        self.nbytes = inner.nbytes
        if inner.frames is None:
            return
        self._clip_frames = inner.frames // self.clips - skip
        if self._clip_frames < 1:
            raise LatentsError(
                f"{self.name}: expected more than the {skip} latents to be skipped, found"
                f" {inner.frames // self.clips}: skip fewer"
            )
        self.frames = self.clips * self._clip_frames
        if inner.nbytes is not None:
            self.nbytes = inner.nbytes // inner.frames * self.frames

    def __len__(self) -> int:
        return len(self._inner) if self.frames is None else self.frames

    def __iter__(self) -> Iterator[torch.Tensor]:
        if self.frames is None:
            return islice(self._inner, self._skip, None)
        return super().__iter__()

    def describe(self) -> str:
        if not self._skip:
            return self._inner.describe()
        return f"{self._inner.describe()}, the first {self._skip} of each clip skipped"

    def close(self) -> None:
        if self._owns:
            self._inner.close()

    def copy_latents(self, out: torch.Tensor, first: int, region: Slices | None = None) -> None:
        done = 0
        while done < len(out):
            clip, start = divmod(first + done, self._clip_frames)
            count = min(len(out) - done, self._clip_frames - start)
            stored = clip * (self._clip_frames + self._skip) + self._skip + start
            self._inner.copy_latents(out[done : done + count], stored, region)
            done += count

    def _stored(self) -> tuple[tuple[int, ...], torch.dtype]:
        return self._inner._stored()
