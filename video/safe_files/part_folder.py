"""Folders that appear under their final name only when they are complete."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from video.errors import InputError, OutputError
from video.safe_files.part_file import appeared, exists_already, reserve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PartFolder", "check_folder"]


def check_folder(path: Path, is_ours: Callable[[Path], bool], kind: str, overwrite: bool) -> None:
    """Refuse a path where no folder of our own kind may be made, or none may be replaced.

    Raises:
        OutputExistsError: if one of that kind is there and ``overwrite`` is false.
        InputError: if anything else is there, whatever ``overwrite`` says.
    """
    if not os.path.lexists(path):
        return
    if not is_ours(path):
        raise InputError(
            f"'{path}' is there and is no {kind}, so it is never replaced; move it away, or give"
            " another name"
        )
    if not overwrite:
        raise exists_already(path)


class PartFolder:
    """The unfinished folder beside ``target``, reserved for one writer: PartFile for folders.

    ``x.part.ome.zarr`` beside ``x.ome.zarr``, or ``.part2`` and so on where that is taken.

    Args:
        target: the final path; its name ends in ``suffix``.
        suffix: what stays at the end of the name.
        is_ours: whether a folder at ``target`` is of the kind that may be replaced.
        place: the folder to make it in, on the same disk; None is that of ``target``.

    Raises:
        InputError: if it cannot be created.
    """

    def __init__(
        self,
        target: Path,
        suffix: str,
        is_ours: Callable[[Path], bool],
        place: Path | None = None,
    ) -> None:
        self.target = target
        self._suffix, self._is_ours = suffix, is_ours
        self.path = reserve(target, place or target.parent, suffix, Path.mkdir)

    def publish(self, *, overwrite: bool) -> None:
        """Give the finished folder its final name; what it replaces is removed after that.

        Raises:
            OutputExistsError: if ``target`` is there and may not be replaced; both stay.
            OutputError: if all is well but for the old folder, which could not be removed.
        """
        with self.in_place(overwrite=overwrite):
            pass

    @contextlib.contextmanager
    def in_place(self, *, overwrite: bool) -> Iterator[None]:
        """As ``publish``; but if the block fails, everything is put back as it was."""
        old = self._make_room(overwrite=overwrite)
        with contextlib.ExitStack() as undoing:
            if old is not None:
                undoing.callback(old.rename, self.target)
            self.path.rename(self.target)
            undoing.callback(self.target.rename, self.path)
            yield
            undoing.pop_all()
        if old is not None:
            self._remove(old)

    def _make_room(self, *, overwrite: bool) -> Path | None:
        """Move what ``target`` is out of the way, since no folder is replaced in one step."""
        if not os.path.lexists(self.target):
            return None
        if not (overwrite and self._is_ours(self.target)):
            raise appeared(self.target, self.path)
        old = reserve(self.target, self.target.parent, self._suffix, Path.mkdir, mark="old")
        old.rmdir()
        self.target.rename(old)
        return old

    def _remove(self, old: Path) -> None:
        try:
            shutil.rmtree(old)
        except OSError as error:
            raise OutputError(
                f"'{self.target}' is complete, but the one it replaced could not be removed:"
                f" '{old}' ({error.strerror})"
            ) from error

    def discard(self) -> None:
        """Remove the unfinished folder; nothing happens if it is gone."""
        shutil.rmtree(self.path, ignore_errors=True)
