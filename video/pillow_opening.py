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


@contextmanager
def opened_by_pillow(data: bytes) -> Iterator[Image]:
    """A picture whose header has been read; it may be larger than Pillow thinks is wise."""
    from PIL.Image import DecompressionBombWarning
    from PIL.Image import open as open_image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DecompressionBombWarning)
        with open_image(BytesIO(data)) as image:
            yield image
