"""What all files we write have in common; errors of `video` become ours here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from taesd_stream.errors import InputError, MissingExtraError, OutputError
from video import VideoInputError, VideoWriteError
from video.large import MissingLibraryError

__all__ = ["video_errors_as_ours"]


@contextmanager
def video_errors_as_ours() -> Iterator[None]:
    """Inside it, what `video` raises is raised as an error of this package, word for word.

    >>> with video_errors_as_ours():
    ...     raise VideoInputError("no such codec")
    Traceback (most recent call last):
    taesd_stream.errors.InputError: no such codec
    """
    try:
        yield
    except MissingLibraryError as error:
        raise MissingExtraError(str(error)) from error
    except VideoInputError as error:
        raise InputError(str(error)) from error
    except VideoWriteError as error:
        raise OutputError(str(error)) from error
