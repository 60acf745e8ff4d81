"""Faxes in TIFF, read by OpenCV, which can be told to be quiet about them.

Pillow's libtiff writes a line to standard error for every row that it makes up, whoever listens.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["FAX", "read_fax"]

FAX = ("tiff_ccitt", "group3", "group4")
"""Pillow's names of their compressions."""

_SILENT = 0


def read_fax(data: bytes) -> NDArray[np.uint8]:
    """The pixels of a fax, (H, W, 3), upright.

    Raises:
        ValueError: it cannot be decoded.
    """
    with _silent_opencv():
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if found is None:
        raise ValueError("its rows are damaged")
    return np.asarray(found, np.uint8)


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """Inside it OpenCV logs nothing; its level is one for the process."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)
