"""A worker: a process on some machine of a cluster that makes units of a job."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from taesd_stream.engine import AutoEncoder
from taesd_stream.errors import TaesdStreamError
from taesd_stream.jobs.cluster.model_copy import ModelCopy
from taesd_stream.jobs.cluster.units import Content, Job, Place
from taesd_stream.latents import LatentSource
from taesd_stream.latents.excerpt import Excerpt, ExcerptSource
from taesd_stream.latents.opening import open_with
from taesd_stream.latents.read_options import LatentOptions

__all__ = ["Sees", "SharedFolder", "StoredLatents", "Worker", "digest_of"]


@dataclass(frozen=True, slots=True)
class StoredLatents:
    """Latents in a file, or files, that workers may see, too.

    Attributes:
        path: Where they are.
        options: How they are read.
        channels: Of a latent.
        digest: Of what the one who hands out work sees there.
    """

    path: str
    options: LatentOptions
    channels: int
    digest: str

    def opened(self) -> LatentSource | None:
        """The source, if the same is seen from here."""
        # Where they cannot be read, they are brought along instead.
        with suppress(TaesdStreamError, OSError), ExitStack() as closing:
            source = open_with(self.path, self.options, frozenset([self.channels]))
            closing.enter_context(source)
            if digest_of(source) == self.digest:
                closing.pop_all()
                return source
        return None


@dataclass(frozen=True, slots=True)
class SharedFolder:
    """A folder that workers may see, too.

    Attributes:
        path: Where it is.
        token: The name of a file in it that nobody else's has.
    """

    path: str
    token: str

    @property
    def is_seen(self) -> bool:
        """Whether it is seen from here."""
        return (Path(self.path) / self.token).is_file()


class Sees(NamedTuple):
    """What a worker shares with the one who hands out work."""

    latents: bool
    folder: bool


class Worker:
    """Makes units, one at a time, and says meanwhile how far it is.

    Args:
        name: Of this worker, which no other has.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._ae: AutoEncoder | None = None
        self._latents: LatentSource | None = None
        self._job: Job | None = None
        self._shared: Path | None = None
        self._part = 0.0

    def prepare(
        self, model: ModelCopy, job: Job, stored: StoredLatents | None, folder: SharedFolder
    ) -> Sees:
        """Load the model, and look at what is to be seen from here."""
        self._ae, self._job = model.load(), job
        self._latents = None if stored is None else stored.opened()
        # Where it cannot be written to, what is made is brought along instead.
        with suppress(OSError):
            if folder.is_seen:
                (Path(folder.path) / self._name).mkdir(exist_ok=True)
                self._shared = Path(folder.path)
        return Sees(self._latents is not None, self._shared is not None)

    def make(self, unit: int, excerpt: Excerpt | None) -> Content:
        """Make a unit.

        Args:
            unit: Its number.
            excerpt: Its latents, where the source is not seen from here.

        Returns:
            What has to be brought along, if anything.
        """
        if self._ae is None or self._job is None:
            raise TypeError("expected a worker that is prepared")
        latents = self._latents if excerpt is None else ExcerptSource(excerpt)
        if latents is None:
            raise TypeError("expected latents that are seen from here, or come along")
        self._part = 0.0
        if self._shared is not None:
            place = Place(self._shared / self._name, self._shared)
            return self._job.make(self._ae, latents, unit, place, self._report)
        with tempfile.TemporaryDirectory(prefix="taesd-stream-") as folder:
            place = Place(Path(folder), None)
            return self._job.make(self._ae, latents, unit, place, self._report)

    def part(self) -> float:
        """Which part of the unit at hand is made, from 0 to 1."""
        return self._part

    def _report(self, part: float) -> None:
        self._part = part


def digest_of(source: LatentSource) -> str:
    """A digest of what a source is and of its first latent."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{source.shape} {source.layout} {source.dtype} {source.metadata}".encode())
    rows = min(source.height, max(1, (1 << 18) // source.width))
    part = source.region(0, slice(0, rows), slice(0, source.width))
    digest.update(part.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
