"""What a run that was cut short leaves behind, so that another goes on from there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from taesd_stream.errors import InputError, OutputError
from video.durable import sync_folder

__all__ = ["Journal", "folder_of"]

_FORMAT = "taesd-stream journal 1"
_NAME = "journal.json"


class Journal:
    """A folder beside an output that says how far it has come, and keeps what it has.

    The folder is ``OUT.resume``. It is written so that at any moment, whatever ends the process,
    what the journal says is there is there.

    Args:
        out: The output.
        settings: All that what is made depends on, in words: name and value. Another run goes on
            only if all of them are the same.

    Attributes:
        folder: Where files that are to survive belong.
        done: How much is finished, in whatever the caller counts.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with_model = {"model": "taesd"}
    ...     Journal.open(f"{folder}/a.tif", with_model).note(3)
    ...     Journal.open(f"{folder}/a.tif", with_model).done
    3
    """

    def __init__(self, out: str | os.PathLike[str], settings: Mapping[str, str]) -> None:
        self.folder = folder_of(out)
        self.done = 0
        self._settings = dict(settings)

    @classmethod
    def open(cls, out: str | os.PathLike[str], settings: Mapping[str, str]) -> Self:
        """The journal of an output, gone on with if there is one.

        Raises:
            InputError: There is one of other inputs or settings, or one that cannot be read.
            OutputError: It cannot be written.
        """
        journal = cls(out, settings)
        path = journal.folder / _NAME
        if path.exists():
            journal.done = journal._read(path)
            return journal
        if journal.folder.is_dir() and any(journal.folder.iterdir()):
            raise InputError(
                f"resume: expected {journal.folder} to be the folder of an unfinished run, found"
                " one without a journal; move it away"
            )
        try:
            journal.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {journal.folder}: {error.strerror}") from error
        journal.note(0)
        return journal

    @staticmethod
    def recorded(out: str | os.PathLike[str], name: str) -> str | None:
        """What an unfinished run of an output had for a setting; None if there is none."""
        try:
            content = json.loads((folder_of(out) / _NAME).read_text(encoding="utf-8"))
            return str(content["settings"][name])
        except (OSError, ValueError, KeyError, TypeError):
            return None  # ``open`` says what is wrong with it

    def note(self, done: int) -> None:
        """So much is finished, and on the disk.

        Raises:
            OutputError: The disk is full.
        """
        content = json.dumps({"format": _FORMAT, "done": done, "settings": self._settings})
        path = self.folder / _NAME
        part = path.with_suffix(".part")
        try:
            with open(part, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
            sync_folder(self.folder)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
        self.done = done

    def close(self) -> None:
        """The output is complete: remove all that was kept for it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, path: Path) -> int:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise ValueError(f"its format is {content['format']!r}")
            done, found = int(content["done"]), dict(content["settings"])
            if done < 0:
                raise ValueError(f"{done} are done")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"resume: expected the journal of an unfinished run in {path}, found one that"
                f" cannot be read ({error}); remove {self.folder} to begin anew"
            ) from error
        self._check_same(found)
        return done

    def _check_same(self, found: Mapping[str, object]) -> None:
        names = [*self._settings, *(name for name in found if name not in self._settings)]
        missing = "not given"
        others = [
            f"{name} was {found.get(name, missing)}, now {self._settings.get(name, missing)}"
            for name in names
            if found.get(name) != self._settings.get(name)
        ]
        if others:
            raise InputError(
                f"resume: expected the run that {self.folder} was left by, found another:"
                f" {'; '.join(others)}; run it as it was, or remove the folder to begin anew"
            )


def folder_of(out: str | os.PathLike[str]) -> Path:
    """Where a journal of an output is.

    >>> folder_of("pictures/a.tif").name
    'a.tif.resume'
    """
    path = Path(out)
    return path.with_name(f"{path.name}.resume")
