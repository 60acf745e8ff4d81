"""A worker: a process on some machine of a cluster that makes units of a job."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from taesd_stream.engine import AutoEncoder
from taesd_stream.jobs.cluster.model_copy import ModelCopy
from taesd_stream.jobs.cluster.sharing import Piece, Stored
from taesd_stream.jobs.cluster.units import Content, Job, Place

__all__ = ["Sees", "SharedFolder", "Worker"]


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

    source: bool
    folder: bool


class Worker:
    """Makes units, one at a time, and says meanwhile how far it is.

    Args:
        name: Of this worker, which no other has.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._ae: AutoEncoder | None = None
        self._source: Any = None
        self._job: Job | None = None
        self._shared: Path | None = None
        self._part = 0.0

    def prepare(
        self, model: ModelCopy, job: Job, stored: Stored[Any] | None, folder: SharedFolder
    ) -> Sees:
        """Load the model, and look at what is to be seen from here."""
        self._ae, self._job = model.load(), job
        self._source = None if stored is None else stored.opened()
        # Where it cannot be written to, what is made is brought along instead.
        with suppress(OSError):
            if folder.is_seen:
                (Path(folder.path) / self._name).mkdir(exist_ok=True)
                self._shared = Path(folder.path)
        return Sees(self._source is not None, self._shared is not None)

    def make(self, unit: int, piece: Piece | None) -> Content:
        """Make a unit.

        Args:
            unit: Its number.
            piece: What it is made of, where the source is not seen from here.

        Returns:
            What has to be brought along, if anything.
        """
        if self._ae is None or self._job is None:
            raise TypeError("expected a worker that is prepared")
        source = self._source if piece is None else piece.opened()
        if source is None:
            raise TypeError("expected a source that is seen from here, or comes along")
        self._part = 0.0
        if self._shared is not None:
            place = Place(self._shared / self._name, self._shared)
            return self._job.make(self._ae, source, unit, place, self._report)
        with tempfile.TemporaryDirectory(prefix="taesd-stream-") as folder:
            place = Place(Path(folder), None)
            return self._job.make(self._ae, source, unit, place, self._report)

    def part(self) -> float:
        """Which part of the unit at hand is made, from 0 to 1."""
        return self._part

    def _report(self, part: float) -> None:
        self._part = part
