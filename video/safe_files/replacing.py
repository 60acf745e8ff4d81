"""A file whose content is replaced in one step."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from video.safe_files.durability import sync_file, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["replacing"]


@contextlib.contextmanager
def replacing(path: Path, *, through: Path | None = None, durable: bool = False) -> Iterator[Path]:
    """Yield where to write what shall stand at ``path``, and put it there in one step.

    Whoever reads ``path`` meanwhile finds the old content or the new one. Where the ``with`` block
    fails, the old one stays and the new one is removed.

    Args:
        path: The file, which need not be there; its folder must be.
        through: Where to write first, on the same disk and by one writer at a time; None is a name
            beside ``path`` that is this process's own.
        durable: Whether the new content outlasts a power failure once this is done.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.txt")
        ...     for text in ("old", "new"):
        ...         with replacing(path) as part:
        ...             _ = part.write_text(text)
        ...     path.read_text(), len(list(Path(folder).iterdir()))
        ('new', 1)
    """
    part = through or path.with_name(f"{path.stem}.part{os.getpid()}{path.suffix}")
    try:
        yield part
        if durable:
            sync_file(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)
