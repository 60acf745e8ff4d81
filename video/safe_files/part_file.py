"""Files that appear under their final name only when they are complete."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from video.errors import InputError, OutputError, OutputExistsError, TaesdStreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

__all__ = [
    "PartFile",
    "UnfinishedOutput",
    "appeared",
    "check_output",
    "exists_already",
    "explain_os_error",
    "publish",
    "require_folder",
    "reserve",
    "write_faults",
]

_FULL_DISK = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_MAX_PARTS = 100


class UnfinishedOutput(Protocol):
    """An unfinished output: ``PartFile`` and its like for folders."""

    @property
    def path(self) -> Path: ...

    def publish(self, *, overwrite: bool) -> None: ...

    def discard(self) -> None: ...


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
        is_folder, exists = target.is_dir(), target.exists()
    except OSError as error:
        raise InputError(f"cannot write '{target}': {error.strerror}") from error
    if is_folder:
        raise InputError(f"expected the name of a file to write; '{target}' is a folder")
    require_folder(target)
    if exists and not overwrite:
        raise exists_already(target)
    return target


def require_folder(target: Path) -> None:
    """Raise InputError if there is no folder to make ``target`` in."""
    if not target.parent.is_dir():
        raise InputError(
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


@contextlib.contextmanager
def write_faults(path: Path, work: str, *others: type[Exception]) -> Iterator[None]:
    """Turn the system's errors and a library's, ``others`` among them, into OutputError.

    Messages name ``path``, or the ``work`` that failed, such as "writing 'a.png'".
    """
    failures: tuple[type[Exception], ...] = (ValueError, RuntimeError, *others)
    try:
        yield
    except TaesdStreamError:
        raise
    except OSError as error:
        raise explain_os_error(path, error) from error
    except failures as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"{work} failed: {reason}") from error


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
    target: Path, folder: Path, suffix: str, create: Callable[[Path], None], *, mark: str = "part"
) -> Path:
    """Create the first of ``x.part.tif``, ``x.part2.tif``, ... that is free, to become ``x.tif``.

    Args:
        target: the final path; its name ends in ``suffix``, in small letters or in others.
        folder: where to create it, on the same disk.
        suffix: what stays at the end of the name.
        create: creates an empty one, and raises FileExistsError where that is not free.
        mark: what stands before the number.

    Raises:
        InputError: if it cannot be created, or all names are taken.
        OutputError: if there is no room.
    """
    end = len(target.name) - len(suffix)
    stem, suffix = target.name[:end], target.name[end:]
    for number in ("", *range(2, _MAX_PARTS + 1)):
        path = folder / f"{stem}.{mark}{number}{suffix}"
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
        f"'{folder}' holds {_MAX_PARTS} unfinished outputs for '{target.name}'; remove them"
    )


def _create_file(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


class PartFile:
    """The unfinished file ``<stem>.part<suffix>`` beside ``target``, reserved for one writer.

    Where an earlier run left one of that name, ``.part2`` and so on are taken instead: what was
    kept once is not lost, and two writers never share a file. With ``folder`` it is there instead,
    which must be on the same disk. A ``with`` block that fails removes it.

    Raises:
        InputError: if it cannot be created.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with PartFile(Path(folder, "a.txt")) as part:
        ...         _ = part.path.write_text("whole")
        ...         part.publish(overwrite=False)
        ...     [entry.name for entry in Path(folder).iterdir()]
        ['a.txt']
    """

    def __init__(self, target: Path, folder: Path | None = None) -> None:
        self.target = target
        self.path = reserve(target, folder or target.parent, target.suffix, _create_file)

    def publish(self, *, overwrite: bool) -> None:
        """Give the finished file its final name."""
        publish(self.path, self.target, overwrite=overwrite)

    def discard(self) -> None:
        """Remove the unfinished file; nothing happens if it is gone."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None:
        if error is not None:
            self.discard()
