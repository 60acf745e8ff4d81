"""Copies of files at addresses, for what can only be read from a file of this machine."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from taesd_stream.errors import InputError, OutputError, TaesdStreamError
from taesd_stream.remote.addresses import name_at
from taesd_stream.remote.place import Place, explained

__all__ = ["copied", "fetch_to"]

_PREFIX = "taesd-stream-"


@contextlib.contextmanager
def copied(address: str, option: str) -> Iterator[Path]:
    """Inside it, a copy of a file under its own name, in a temporary folder that goes at the end.

    Args:
        option: What was given the address, for errors.

    Raises:
        InputError: It cannot be read, or it is a folder or a pattern.
        OutputError: There is no room for it.
    """
    place, name = Place.of(address), name_at(address)
    kind = place.kind() if name else "directory"
    if kind != "file":
        found = "none" if kind is None else "a folder"
        raise InputError(
            f"{option}: expected one file at {place.address}, found {found}; check the address, or"
            " copy a folder to this machine first"
        )
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        copy = Path(folder, name)
        fetch_to(copy, place)
        _set_time(copy, place)
        try:
            yield copy
        except TaesdStreamError as error:
            error.add_note(f"{copy} is a copy of {place.address}")
            raise


def fetch_to(target: Path, place: Place, error: type[TaesdStreamError] = InputError) -> None:
    """Copy a file of a store, of which only a few MiB are in memory at a time.

    Raises:
        TaesdStreamError: It cannot be read, as ``error``.
        OutputError: There is no room for it.
    """
    with explained(place.address, error):
        try:
            place.files.get_file(place.path, str(target))
        except OSError as found:
            if found.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise
            raise OutputError(
                f"{place.address}: expected room for a copy in {target.parent}, found"
                f" {found.strerror}; free some space there, or set TMPDIR to a larger disk"
            ) from found


def _set_time(copy: Path, place: Place) -> None:
    """Give a copy a time that is another where the content is: runs that resume go by it."""
    with explained(place.address):
        content = repr(place.stamp()).encode()
    time = int.from_bytes(hashlib.blake2b(content, digest_size=7).digest())
    os.utime(copy, ns=(time, time))
