"""What a job is made of, as workers get it: by its path where they see it, or piece by piece."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch

from taesd_stream.errors import InputError, TaesdStreamError
from taesd_stream.latents import LatentSource
from taesd_stream.latents.excerpt import Excerpt
from taesd_stream.latents.opening import Latents, open_with
from taesd_stream.latents.read_options import LatentOptions
from taesd_stream.remote.addresses import is_address
from video import FrameReader, open_reader
from video.frame_reader import Frame
from video.large.reading import RegionReader, open_regions
from video.transparency import Transparency

__all__ = [
    "MOST_PIECE_BYTES",
    "FramePiece",
    "Piece",
    "Sharing",
    "Stored",
    "shared_frames",
    "shared_latents",
    "shared_picture",
]

MOST_PIECE_BYTES: Final = 1 << 30
"""Of frames that travel to a worker which does not see their file: they do so as a whole."""

_DIGEST_BYTES: Final = 1 << 18

Source = TypeVar("Source", bound=AbstractContextManager[Any])


@dataclass(frozen=True, slots=True)
class Stored(Generic[Source]):
    """A source in a file, or files, that workers may see, too.

    Attributes:
        opening: Opens it.
        digesting: Makes a digest of what is seen there.
        digest: That of what the one who hands out work sees.
    """

    opening: Callable[[], Source]
    digesting: Callable[[Source], str]
    digest: str

    def opened(self) -> Source | None:
        """The source, if the same is seen from here."""
        # Where it cannot be read, its pieces are brought along instead.
        with suppress(TaesdStreamError, OSError), ExitStack() as unless_same:
            source = self.opening()
            unless_same.enter_context(source)
            if self.digesting(source) == self.digest:
                unless_same.pop_all()
                return source
        return None


class Piece(Protocol):
    """Some part of a source, which travels to where it is needed."""

    def opened(self) -> Any:
        """A source of which that part can be read."""


class Sharing(NamedTuple):
    """How workers get what a job is made of.

    Attributes:
        stored: Where they may see it; None where it is in no file.
        piece_of: A part of it, for a worker that does not see it. It is given the numbers of the
            latents, or frames, that a unit needs.
    """

    stored: Stored[Any] | None
    piece_of: Callable[[range], Piece]


@dataclass(frozen=True, slots=True, eq=False)
class FramePiece:
    """Some frames of a video.

    Attributes:
        numbers: Theirs, in the video.
        frames: The same.
    """

    numbers: range
    frames: tuple[Frame, ...]

    def opened(self) -> FramePiece:
        """The same: it is read as a ``FrameReader`` is."""
        return self

    def frames_of(self, numbers: range) -> Iterator[Frame]:
        """Those of these numbers, as far as there are any."""
        known = dict(zip(self.numbers, self.frames, strict=False))
        return (known[number] for number in numbers if number in known)


def shared_latents(latents: Latents, reading: LatentOptions, source: LatentSource) -> Sharing:
    """How workers get latents.

    Args:
        latents: What they were opened from.
        reading: How.
        source: The source.
    """
    stored = None
    if isinstance(latents, str | os.PathLike) and os.fspath(latents) != "-":
        path = latents if is_address(latents) else os.path.abspath(latents)
        opening = partial(open_with, path, reading, frozenset([source.channels]))
        stored = Stored(opening, _digest_of_latents, _digest_of_latents(source))
    return Sharing(stored, partial(Excerpt.of, source))


def shared_frames(reader: FrameReader, transparency: Transparency) -> Sharing:
    """How workers get the frames of a file, or of a folder.

    Args:
        reader: Opened from it.
        transparency: What becomes of alpha.
    """
    opening = partial(open_reader, reader.path.absolute(), transparency=transparency)
    stored = Stored(opening, _digest_of_frames, _digest_of_frames(reader))

    def piece_of(numbers: range) -> FramePiece:
        if 3 * reader.height * reader.width * len(numbers) > MOST_PIECE_BYTES:
            raise _not_seen(reader.path)
        return FramePiece(numbers, tuple(reader.frames_of(numbers)))

    return Sharing(stored, piece_of)


def shared_picture(path: Path, reader: RegionReader, transparency: Transparency) -> Sharing:
    """How workers get a picture of which parts are read.

    Args:
        path: Where it is.
        reader: Opened from there.
        transparency: What becomes of alpha.
    """

    def refuse(_: range) -> Piece:
        raise _not_seen(path)

    opening = partial(open_regions, path.absolute(), transparency=transparency)
    return Sharing(Stored(opening, _digest_of_picture, _digest_of_picture(reader)), refuse)


def _not_seen(path: Path) -> InputError:
    return InputError(
        f"cluster: expected {path}, which is large, to be seen under the same path from every"
        " machine of the cluster, found one that does not see it; put it into a folder that all"
        " share"
    )


def _digest_of_latents(source: LatentSource) -> str:
    """A digest of what a source is, and of the first rows of some of its latents."""
    rows = slice(0, min(source.height, max(1, _DIGEST_BYTES // source.width)))
    last = (source.frames or 1) - 1
    parts = [
        source.region(number, rows, slice(0, source.width)).contiguous().view(torch.uint8).numpy()
        for number in (0, last // 2, last)
    ]
    said = f"{source.shape} {source.layout} {source.dtype} {source.metadata}"
    return _digest(said, *parts)


def _digest_of_frames(reader: FrameReader) -> str:
    """The same of a video: what there is to know of it, and its first frame."""
    said = f"{reader.width}x{reader.height} {reader.frame_count} {reader.rate}"
    (first,) = reader.frames_of(range(1))
    return _digest(said, first.image)


def _digest_of_picture(reader: RegionReader) -> str:
    """The same of a picture: its size, and its first rows."""
    rows = min(reader.height, max(1, _DIGEST_BYTES // reader.width))
    said = f"{reader.width}x{reader.height}"
    return _digest(said, reader.read(slice(0, rows), slice(0, reader.width)))


def _digest(said: str, *numbers: np.ndarray[Any, Any]) -> str:
    digest = hashlib.blake2b(said.encode(), digest_size=16)
    for each in numbers:
        digest.update(np.ascontiguousarray(each).data)
    return digest.hexdigest()
