"""Outputs at addresses: made on this machine first, then uploaded, then removed here."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self

from filelock import FileLock, Timeout

from taesd_stream.errors import (
    InputError,
    Interrupted,
    OutputError,
    OutputExistsError,
    TaesdStreamError,
)
from taesd_stream.models.weights.official import cache_folder
from taesd_stream.remote.addresses import can_be_written, name_at, scheme_of
from taesd_stream.remote.place import Place, explained, is_forbidden
from video.large.folders import tile_folder
from video.safe_files.numbering import NUMBER, NumberedFiles, is_pattern

__all__ = ["RemoteOutput", "address_of"]

_log = logging.getLogger("taesd_stream")

_LOCK: Final = "lock"
_ADDRESS: Final = "address.txt"
_UNFINISHED: Final = ".resume"
_ZARR_GROUP: Final = "zarr.json"
_PART_BYTES: Final = 2**24
_MOST_PARTS: Final = 9000
"""A little less than what S3 puts together."""

_AT_ONCE: Final = 4
"""Parts of a file that are in memory, or files, each of which may be two parts."""

_TREES: Final = (".zarr", ".dzi")
"""The suffixes of outputs whose folders belong to them: old ones go before new ones are put."""


@dataclass(frozen=True)
class RemoteOutput:
    """An output at an address, and the folder of this machine that it is made in.

    Attributes:
        place: Where it is to be in the end.
        folder: In the cache folder; another one for each address.
        overwrite: Whether what is at the address may be replaced.
    """

    place: Place
    folder: Path
    overwrite: bool

    @classmethod
    def at(cls, address: str, *, overwrite: bool) -> Self:
        """The output of an address, once it is known that it can be made there.

        Raises:
            InputError: It is a web server's or has no name, or the store does not let it be made.
            OutputExistsError: It is there already, and may not be replaced.
            MissingExtraError: A library for it is not installed.
        """
        if not can_be_written(address):
            raise InputError(
                f"output: expected a file, or an address of s3:// or gs://, found {address!r}: what"
                f" is at {scheme_of(address)}:// can only be read; give another place"
            )
        if not name_at(address):
            raise InputError(
                f"output: expected an address with a name behind the bucket, found {address!r};"
                " write s3://bucket/name.mp4"
            )
        name = hashlib.blake2b(address.rstrip("/").encode(), digest_size=8).hexdigest()
        output = cls(Place.of(address), cache_folder() / "remote" / name, overwrite)
        output._check_place()
        return output

    @property
    def local(self) -> Path:
        """The place that it is made in."""
        return self.folder / name_at(self.place.address)

    @contextlib.contextmanager
    def made(self, *, resume: bool, progress: bool) -> Iterator[Path]:
        """Inside it, the output is to be made at the path; afterwards it is at its address.

        Args:
            resume: Whether a run goes on from what an earlier one has left; else nothing is left.
            progress: Show a bar while it is uploaded, if standard error is a terminal.

        Raises:
            InputError: Another run is at work with it.
            OutputError: It could not be uploaded; it is kept in the folder.
            OutputExistsError: Another has come to the address meanwhile; it is kept, too.
            Interrupted: Ctrl-C; the message says what is left and where.
        """
        address = self.place.address
        with self._held():
            (self.folder / _ADDRESS).write_text(address, encoding="utf-8")
            if not resume:
                self._clear(_UNFINISHED)
            try:
                yield self.local
            except Interrupted as error:
                raise Interrupted(f"{error}; nothing of it is at {address} yet") from error
            except TaesdStreamError as error:
                if str(self.folder) in str(error):
                    error.add_note(f"{address} is made as {self.local} first")
                raise
            self._deliver(resume=resume, progress=progress)
            self._clear()

    def _check_place(self) -> None:
        """Say at once that nothing can be made there, before anything is computed."""
        files, bucket = self.place.files, self.place.path.partition("/")[0]
        with explained(f"{scheme_of(self.place.address)}://{bucket}", to="write"):
            try:
                files.info(bucket)
            except FileNotFoundError:
                files.ls(bucket)  # gcsfs says so of an empty one, too, but lists it
            except Exception as error:
                if not is_forbidden(error):  # who may write may not always ask
                    raise
        self._check_free()

    def _check_free(self) -> None:
        if self.overwrite:
            return
        address, files = self.place.address, self.place.files
        with explained(address, to="write"):
            if NUMBER.search(name_at(address)):
                exists = bool(files.glob(NUMBER.sub("*[0-9]", _literal(self.place.path))))
            else:
                exists = files.exists(self.place.path)
        if exists:
            raise OutputExistsError(
                f"'{address}' exists already; give another name, or --overwrite it"
                " (overwrite=True in Python)"
            )

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """The folder, for one run at a time; it goes if nothing is left in it."""
        lock = FileLock(self.folder / _LOCK, timeout=0, thread_local=False)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise InputError(
                f"output: expected one run at a time to make {self.place.address}, found another at"
                f" work in {self.folder}; wait for it, or stop it"
            ) from error
        except OSError as error:
            raise OutputError(f"cannot write {self.folder}: {error.strerror}") from error
        except NotImplementedError:  # how filelock says that a file system has no locks
            _log.warning("%s: no locks here; do not start this command twice", self.folder)
        try:
            yield
        finally:
            lock.release()
            if not self._entries():
                shutil.rmtree(self.folder, ignore_errors=True)

    def _entries(self) -> list[Path]:
        return [each for each in self.folder.iterdir() if each.name not in (_LOCK, _ADDRESS)]

    def _clear(self, *kept: str) -> None:
        """Remove what is in the folder, but for what ends as ``kept`` do."""
        for entry in self._entries():
            if not (kept and entry.name.endswith(kept)):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def _deliver(self, *, resume: bool, progress: bool) -> None:
        how = "upload it with another program, and remove it then"
        if resume:
            how = "the same command with --resume (resume=True in Python) uploads it, and no more"
        kept = f"the finished output is kept as {self.local}: {how}"
        try:
            self._check_free()  # others may have been quicker
            with explained(self.place.address, OutputError, to="write"):
                self._upload(progress)
        except OutputExistsError as error:
            raise OutputExistsError(f"{error}; {kept}") from error
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"interrupted while {self.place.address} was uploaded; {kept}"
            ) from error
        except OutputError as error:
            raise OutputError(f"{error}; {kept}") from error

    def _finished(self) -> list[Path]:
        """The files and folders that the output is; a run that was killed may have left others."""
        if is_pattern(self.local):
            names = [entry.name for entry in self._entries()]
            return [
                self.folder / name for _, name in NumberedFiles.of(self.local).numbers_in(names)
            ]
        beside = tile_folder(self.local)
        has_tiles = self.local.suffix.lower() == ".dzi" and beside.is_dir()
        return [self.local, beside] if has_tiles else [self.local]

    def _upload(self, progress: bool) -> None:
        """Put all files to where they belong; the one by which others are found comes last."""
        files, above = self.place.files, self.place.parent.path
        entries = self._finished()
        found = sorted(
            each for entry in entries for each in (entry, *entry.rglob("*")) if each.is_file()
        )
        goals = {each: f"{above}/{each.relative_to(self.folder).as_posix()}" for each in found}
        if self.overwrite and self.local.suffix.lower() in _TREES:
            for entry in entries:
                if entry.is_dir() and files.exists(f"{above}/{entry.name}"):
                    files.rm(f"{above}/{entry.name}", recursive=True)
        bar: Any = import_module("fsspec.callbacks").TqdmCallback(
            tqdm_kwargs={
                "desc": "uploading",
                "unit": "B" if len(found) == 1 else "file",
                "unit_scale": len(found) == 1,
                "disable": None if progress else True,
            }
        )
        with bar:
            opens = self.local / _ZARR_GROUP if self.local.is_dir() else self.local
            first = [each for each in found if each != opens]
            if first:
                files.put(
                    list(map(str, first)),
                    [goals[each] for each in first],
                    callback=bar,
                    batch_size=_AT_ONCE,
                    **self._part_options(first),
                )
            if opens in goals:
                files.put_file(
                    str(opens), goals[opens], callback=bar, **self._part_options([opens])
                )

    def _part_options(self, files: list[Path]) -> dict[str, int]:
        """The options by which a store's library takes files in parts, few of them at once."""
        largest = max(file.stat().st_size for file in files)
        whole = (largest // _MOST_PARTS >> 20) + 1 << 20
        options = {"chunksize": max(_PART_BYTES, whole)}
        if scheme_of(self.place.address) == "s3":
            options["max_concurrency"] = _AT_ONCE
        return options


def address_of(output: Path) -> str | None:
    """The address that an output of this machine goes to when it is finished; None if to none."""
    said = output.parent / _ADDRESS
    if output.parent.parent != cache_folder() / "remote" or not said.is_file():
        return None
    return said.read_text(encoding="utf-8")


def _literal(path: str) -> str:
    """A path with what patterns of files give a meaning to taken literally."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)
