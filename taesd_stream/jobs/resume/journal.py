"""The journal of a run: it outlasts what cuts the run short, and another goes on from there."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from taesd_stream.errors import InputError, OutputError
from video.safe_files.replacing import replacing

__all__ = ["Journal", "folder_of", "recorded"]

_FORMAT = "taesd-stream journal 1"
_NAME = "journal.json"
_PART = "journal.part"
_LOCK = "lock"

_log = logging.getLogger("taesd_stream")


class Journal:
    """A folder beside an output that says how far it has come, and keeps what it has.

    The folder is ``OUT.resume``. It is written so that at any moment, whatever ends the process,
    what the journal says is there is there. One run at a time has it, until the end of a ``with``
    block, or of the process.

    Args:
        out: The output.
        fingerprint: All that what is made depends on, in words: name and value. Another run goes on
            only if all of them are the same.

    Attributes:
        folder: Where files that are to survive belong.
        done: How much is finished, in whatever the caller counts.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with_model = {"model": "taesd"}
    ...     with Journal.open(f"{folder}/a.tif", with_model) as journal:
    ...         journal.note(3)
    ...     with Journal.open(f"{folder}/a.tif", with_model) as journal:
    ...         journal.done
    3
    """

    def __init__(self, out: str | os.PathLike[str], fingerprint: Mapping[str, str]) -> None:
        self.folder = folder_of(out)
        self.done = 0
        self._fingerprint = dict(fingerprint)
        self._lock = FileLock(self.folder / _LOCK, timeout=0, thread_local=False)

    @classmethod
    def open(cls, out: str | os.PathLike[str], fingerprint: Mapping[str, str]) -> Self:
        """The journal of an output, gone on with if there is one.

        Raises:
            InputError: There is one of another fingerprint, one that cannot be read, or one
                that another run is at work with.
            OutputError: It cannot be written.
        """
        journal = cls(out, fingerprint)
        path = journal.folder / _NAME
        journal._check_folder(path)
        journal._take_lock()
        try:
            if path.exists():
                journal.done = journal._read(path)
            else:
                journal.note(0)
        except BaseException:
            journal._lock.release()
            raise
        return journal

    @staticmethod
    def recorded(out: str | os.PathLike[str], name: str) -> str | None:
        """A value of the fingerprint of an unfinished run of an output; None if there is none."""
        return recorded(folder_of(out) / _NAME, "settings", name)

    def note(self, done: int) -> None:
        """So much is finished, and on the disk.

        Raises:
            OutputError: The disk is full.
        """
        content = json.dumps({"format": _FORMAT, "done": done, "settings": self._fingerprint})
        path = self.folder / _NAME
        try:
            with replacing(path, through=self.folder / _PART, durable=True) as part:
                part.write_text(content, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
        self.done = done

    def keep_only(self, *names: str) -> None:
        """Remove all that lies in the folder but the journal and what is named."""
        for each in self.folder.iterdir():
            if each.name not in (_NAME, _LOCK, *names):
                shutil.rmtree(each) if each.is_dir() else each.unlink()

    def finish(self) -> None:
        """The output is complete: remove all that was kept for it."""
        self._lock.release()  # before: elsewhere than on Unix, no file goes that is open
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _check_folder(self, path: Path) -> None:
        if path.exists() or not self.folder.is_dir():
            return
        # A run that was killed while it began has left no more than these.
        if any(each.name not in (_LOCK, _PART) for each in self.folder.iterdir()):
            raise InputError(
                f"resume: expected {self.folder} to be the folder of an unfinished run, found"
                " one without a journal; move it away"
            )

    def _take_lock(self) -> None:
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock.acquire()
        except Timeout as error:
            raise InputError(
                f"resume: expected one run of an output at a time, found another at work in"
                f" {self.folder}; wait for it, or stop it"
            ) from error
        except NotImplementedError:
            # How filelock says that a file system has no locks. Most runs are alone anyway.
            _log.warning("%s: no locks here; do not start this command twice", self.folder)
        except OSError as error:
            raise OutputError(f"cannot write {self.folder}: {error.strerror}") from error

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
        names = [*self._fingerprint, *(name for name in found if name not in self._fingerprint)]
        missing = "not given"
        others = [
            f"{name} was {found.get(name, missing)}, now {self._fingerprint.get(name, missing)}"
            for name in names
            if found.get(name) != self._fingerprint.get(name)
        ]
        if others:
            raise InputError(
                f"resume: expected the run that {self.folder} was left by, found another:"
                f" {'; '.join(others)}; run it as it was, or remove the folder to begin anew"
            )


def recorded(path: Path, *keys: str) -> str | None:
    """A value in a file of JSON, by the keys that lead to it; None where it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for key in keys:
            found = found[key]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # who needs the file says what is wrong with it
    return str(found)


def folder_of(out: str | os.PathLike[str]) -> Path:
    """The folder of an output's journal.

    >>> folder_of("pictures/a.tif").name
    'a.tif.resume'
    """
    path = Path(out)
    return path.with_name(f"{path.name}.resume")
