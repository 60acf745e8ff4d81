"""Every exception this package raises on purpose.

``VideoInputError`` means that something given was wrong (an argument, a file to read);
``VideoWriteError`` that the work could not be finished (the disk is full, the encoder failed).
"""

from __future__ import annotations

__all__ = ["OutputExistsError", "VideoError", "VideoInputError", "VideoWriteError"]


class VideoError(Exception):
    """The root of the tree."""


class VideoInputError(VideoError, ValueError):
    """An argument or an input file is wrong; the message says what was expected and found."""


class OutputExistsError(VideoInputError):
    """The output is there already, and overwriting it was not asked for."""


class VideoWriteError(VideoError, OSError):
    """Writing failed on the way: a full disk, a closed pipe, an encoder that gave up."""
