"""Pictures opened by Pillow, which reads their headers and leaves the pixels for later."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

__all__ = ["opened_by_pillow"]

# Their sizes have been checked against their bytes, and against memory.
_CHECKED = ("PNG", "JPEG")


@contextmanager
def opened_by_pillow(data: bytes, kind: str) -> Iterator[Image]:
    """A picture of a kind that Pillow knows by this name, whose header has been read.

    It may be larger than Pillow thinks is wise. What Pillow warns of, it says when it fails, too.
    """
    from PIL import Image

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
