"""Files that appear under their final name only when they are complete."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from video.errors import InputError, OutputError, OutputExistsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

__all__ = [
    "PartFile",
    "appeared",
    "check_output",
    "exists_already",
    "explain_os_error",
    "publish",
    "require_folder",
    "reserve",
]

_FULL_DISK = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_MAX_PARTS = 100


def check_output(path: str | PathLike[str], *, overwrite: bool) -> Path:
    """Say at once whether a file could be made at ``path``; returns it as a Path.

    Raises:
        OutputExistsError: if it exists and ``overwrite`` is false.
        InputError: if it is a folder, or its folder does not exist.
    """
    target = Path(path)
    if not target.name:
        raise InputError(f"expected the name of a file to write; found {str(path)!r}")
    try:
        is_folder, exists, has_folder = target.is_dir(), target.exists(), target.parent.is_dir()
    except OSError as error:
        raise InputError(f"cannot write '{target}': {error.strerror}") from error
    if is_folder:
        raise InputError(f"expected the name of a file to write; '{target}' is a folder")
    if not has_folder:
        raise _no_folder(target)
    if exists and not overwrite:
        raise exists_already(target)
    return target


def require_folder(target: Path) -> None:
    """Raise InputError if there is no folder to make ``target`` in."""
    if not target.parent.is_dir():
        raise _no_folder(target)


def _no_folder(target: Path) -> InputError:
    return InputError(
        f"cannot write '{target}': there is no folder '{target.parent}'; create it first"
    )


def exists_already(target: Path) -> OutputExistsError:
    """The error for an output that is there and was not to be replaced."""
    return OutputExistsError(
        f"'{target}' exists already; give another name, or --overwrite it"
        " (overwrite=True in Python)"
    )


def explain_os_error(path: Path | str, error: OSError) -> OutputError:
    """The one line that a failed write ends with."""
    if error.errno in _FULL_DISK:
        return OutputError(
            f"cannot write '{path}': no room ({os.strerror(error.errno)}); free some space, or"
            " write to another disk"
        )
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return OutputError(f"writing '{path}' failed: {reason}")


def publish(part: Path, target: Path, *, overwrite: bool) -> None:
    """Move ``part`` to ``target`` in one step; without ``overwrite``, never over another file.

    Raises:
        OutputExistsError: if ``target`` has appeared meanwhile; ``part`` stays where it is.
    """
    if overwrite:
        os.replace(part, target)
        return
    try:
        os.link(part, target)
    except FileExistsError:
        raise appeared(target, part) from None
    except OSError:
        # A file system without hard links: the check and the move are then two steps.
        if target.exists():
            raise appeared(target, part) from None
        part.rename(target)
        return
    part.unlink()


def appeared(target: Path, part: Path) -> OutputExistsError:
    """The error for an output whose name was taken meanwhile."""
    return OutputExistsError(
        f"'{target}' appeared while it was being written and was left as it is; the new one is"
        f" '{part}'"
    )


def reserve(
    target: Path, name: Callable[[str], Path], create: Callable[[Path], None], *, kind: str
) -> Path:
    """Create the first of ``name("")``, ``name("2")``, ... that is free, to become ``target``.

    Raises:
        InputError: if it cannot be created, or all names are taken.
        OutputError: if there is no room.
    """
    for number in range(1, _MAX_PARTS + 1):
        path = name("" if number == 1 else str(number))
        try:
            create(path)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno in _FULL_DISK:
                raise explain_os_error(target, error) from error
            raise InputError(
                f"cannot write '{target}': {error.strerror}; choose another place"
            ) from error
        return path
    raise InputError(
        f"'{name('').parent}' holds {_MAX_PARTS} unfinished {kind} of '{target.name}'; remove them"
    )


def _create_file(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


class PartFile:
    """The unfinished file ``<stem>.part<suffix>`` beside ``target``, reserved for one writer.

    Where an earlier run left one of that name, ``.part2`` and so on are taken instead: what was
    kept once is not lost, and two writers never share a file. With ``folder`` it is there instead,
    which must be on the same disk.

    Raises:
        InputError: if it cannot be created.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     part = PartFile(Path(folder, "a.txt"))
        ...     _ = part.path.write_text("whole")
        ...     part.publish(overwrite=False)
        ...     [entry.name for entry in Path(folder).iterdir()]
        ['a.txt']
    """

    def __init__(self, target: Path, folder: Path | None = None) -> None:
        self.target = target
        self.path = self._reserve(folder or target.parent)

    def _reserve(self, folder: Path) -> Path:
        def name(number: str) -> Path:
            return folder / f"{self.target.stem}.part{number}{self.target.suffix}"

        return reserve(self.target, name, _create_file, kind="files")

    def publish(self, *, overwrite: bool) -> None:
        """Give the finished file its final name."""
        publish(self.path, self.target, overwrite=overwrite)

    def discard(self) -> None:
        """Remove the unfinished file; nothing happens if it is gone."""
        self.path.unlink(missing_ok=True)
