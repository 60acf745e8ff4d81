"""Outputs that runs have finished, remembered so that a repeated command has nothing to do.

A file for each is kept in the cache folder: the fingerprint of the run, and the size and the time
of what it made. Where the folder cannot be written, nothing is remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from taesd_stream.errors import OutputExistsError
from taesd_stream.jobs.resume.journal import Journal, folder_of, recorded
from taesd_stream.models.weights.official import cache_folder

__all__ = ["OutputFile", "is_finished", "number_taken_before", "remembered", "taken_before"]


class OutputFile(Protocol):
    """What there is to know of an output that may be there already, whole or in part."""

    @property
    def path(self) -> Path:
        """Where it goes."""

    @property
    def overwrite(self) -> bool:
        """Whether an existing file may be replaced."""

    @property
    def resume(self) -> bool:
        """Whether a run that was cut short is gone on with."""


def is_finished(output: OutputFile, fingerprint: Mapping[str, str]) -> bool:
    """Whether the output is there, complete, and made by the same run.

    Raises:
        OutputExistsError: Another file is there, and may not be replaced.
    """
    if output.overwrite or not output.path.exists():
        return False
    try:
        same = _record(output.path).read_text(encoding="utf-8") == _stamp(output.path, fingerprint)
    except OSError:
        same = False
    if not same:
        raise OutputExistsError(
            f"'{output.path}' exists already, and no run of this command is known to have made it;"
            " give another name, or --overwrite it (overwrite=True in Python)"
        )
    shutil.rmtree(folder_of(output.path), ignore_errors=True)  # of a run killed at its very end
    return True


@contextlib.contextmanager
def remembered(output: OutputFile, fingerprint: Mapping[str, str]) -> Iterator[Journal]:
    """Inside it, an output is made under its journal; at the end only its being finished is kept.

    Raises:
        InputError: As ``Journal.open``.
        OutputError: As ``Journal.open``.
    """
    with Journal.open(output.path, fingerprint) as journal:
        yield journal
        record = _record(output.path)
        with contextlib.suppress(OSError):
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(_stamp(output.path, fingerprint), encoding="utf-8")
        journal.finish()


def _recorded_when_finished(output: OutputFile, name: str) -> str | None:
    """A value of the fingerprint of the run that finished what is there, if it is to stay."""
    is_to_stay = not output.overwrite and output.path.exists()
    return recorded(_record(output.path), name) if is_to_stay else None


def taken_before(output: OutputFile, name: str) -> str | None:
    """A value that the run of an output took that is to be gone on with, or is finished."""
    return Journal.recorded(output.path, name) or _recorded_when_finished(output, name)


def number_taken_before(output: OutputFile, name: str) -> int | None:
    """The same, if it is a number from 1 up; None where nothing is to be gone on with."""
    known = taken_before(output, name) if output.resume else None
    return int(known) if known is not None and known.isdecimal() and int(known) else None


def _record(out: Path) -> Path:
    name = hashlib.blake2b(str(out.resolve()).encode(), digest_size=16).hexdigest()
    return cache_folder() / "finished" / f"{name}.json"


def _stamp(out: Path, fingerprint: Mapping[str, str]) -> str:
    found = out.stat()
    content = {"bytes": found.st_size, "nanoseconds": found.st_mtime_ns, **fingerprint}
    return json.dumps(content, sort_keys=True)
