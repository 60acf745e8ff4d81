"""The units of a job that are finished, beside its journal, in whichever order they were made."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

from taesd_stream.errors import OutputError
from taesd_stream.jobs.resume.journal import Journal
from video.safe_files.durability import sync_folder
from video.safe_files.replacing import replacing

__all__ = ["FinishedUnits"]

_NAME = "units.txt"


class FinishedUnits:
    """A file that a line is added to for each unit, which outlasts whatever ends the process.

    The journal counts those before the first that is missing, so that a run on one machine can go
    on from there.

    Args:
        journal: Of the job.

    Attributes:
        numbers: The units that are finished.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._path: Path = journal.folder / _NAME
        self.numbers = set(range(journal.done))
        if self._path.exists():
            self.numbers |= set(map(int, self._whole_lines()))

    def _whole_lines(self) -> list[str]:
        """The lines, without one that was cut short at the end."""
        text = self._path.read_text(encoding="ascii")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            with replacing(self._path, durable=True) as part:
                part.write_text(whole, encoding="ascii")
        return whole.split()

    @property
    def folder(self) -> Path:
        """The folder of the journal."""
        return self._journal.folder

    @property
    def name(self) -> str:
        """The name of the file."""
        return _NAME

    def keep_those(self, is_there: Callable[[int], bool]) -> None:
        """Forget units that are not there any more: another run may have removed them.

        Raises:
            OutputError: The disk is full.
        """
        there = {unit for unit in self.numbers if is_there(unit)}
        if there == self.numbers:
            return
        self.numbers = there
        with replacing(self._path, durable=True) as part:
            part.write_text("".join(f"{unit}\n" for unit in sorted(there)), encoding="ascii")
        self._journal.note(self._leading(0))

    def keep_files(self, file_of: Callable[[int], str]) -> None:
        """Keep units whose files are there, and remove whatever else lies in the folder.

        Args:
            file_of: The name of a unit's file.

        Raises:
            OutputError: The disk is full.
        """
        self.keep_those(lambda unit: (self.folder / file_of(unit)).is_file())
        self._journal.keep_only(self.name, *map(file_of, self.numbers))

    @property
    def leading(self) -> int:
        """How many there are before the first that is missing."""
        return self._leading(self._journal.done)

    def _leading(self, first: int) -> int:
        """The first unit from this one on that is missing."""
        return next(unit for unit in count(first) if unit not in self.numbers)

    def note(self, unit: int) -> None:
        """A unit is finished, and on the disk.

        Raises:
            OutputError: The disk is full.
        """
        self.numbers.add(unit)
        is_new = not self._path.exists()
        try:
            with self._path.open("a", encoding="ascii") as file:
                file.write(f"{unit}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error.strerror}") from error
        if is_new:
            sync_folder(self._path.parent)
        if self.leading > self._journal.done:
            self._journal.note(self.leading)
