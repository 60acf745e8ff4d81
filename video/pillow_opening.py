"""Pictures opened by Pillow, which reads their headers and leaves the pixels for later."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

from video.file_kinds import TIFF, kind_of_file
from video.quiet_logging import keep_from_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PIL.Image import Image

__all__ = ["is_smaller_copy", "opened_by_pillow", "pages_of"]

# Their sizes have been checked against their bytes, and against memory.
_CHECKED = ("PNG", "JPEG")
_SMALLER = 0.75


@contextmanager
def opened_by_pillow(data: bytes, kind: str) -> Iterator[Image]:
    """A picture of a kind that Pillow knows by this name, whose header has been read.

    It may be larger than Pillow thinks is wise. What Pillow warns of, it says when it fails, too.
    """
    from PIL import Image

    keep_from_stderr("PIL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind not in _CHECKED:
            with Image.open(BytesIO(data), formats=(kind,)) as image:
                yield image
            return
        Image.preinit()
        factory, _ = Image.OPEN[kind]
        with factory(BytesIO(data), "") as image:
            yield image


def pages_of(path: Path) -> int:
    """How many pages a TIFF has that are no smaller copies of its first; 1 for another file."""
    if kind_of_file(path) != TIFF:
        return 1
    try:
        with opened_by_pillow(path.read_bytes(), "TIFF") as image:
            pages, first = int(getattr(image, "n_frames", 1)), image.size
            if pages > 1:
                image.seek(1)
            return 1 if is_smaller_copy(image.size, first) else pages
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError):
        return 1  # a page behind the first is damaged


def is_smaller_copy(size: tuple[int, int], first: tuple[int, int]) -> bool:
    """Whether a page of a size is a preview of the first page, or a level of a pyramid."""
    return all(side < _SMALLER * full for side, full in zip(size, first, strict=True))
