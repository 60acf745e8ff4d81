"""Every exception this package raises on purpose, on one screen.

``InputError`` and its children mean that something given was wrong: the command line ends with
status 2. The others mean that the work could not be done: status 1.
"""

from __future__ import annotations

from functools import partial

from video.errors import (
    InputError,
    MissingExtraError,
    OutputError,
    OutputExistsError,
    TaesdStreamError,
)

__all__ = [
    "CheckpointError",
    "DownloadError",
    "InputError",
    "Interrupted",
    "LatentsError",
    "LayoutError",
    "MissingExtraError",
    "ModelNotFoundError",
    "NonFiniteError",
    "OutOfMemoryError",
    "OutputError",
    "OutputExistsError",
    "TaesdStreamError",
]


class LatentsError(InputError):
    """A source of latents that cannot be read, or whose layout is unknown."""


class LayoutError(LatentsError):
    """Latents whose axes fit several layouts, or that are packed in a way that cannot be told.

    ``readings`` are the layouts of which one is to be said, likeliest first; if none is, something
    else has to be: the size, or the model.
    """

    def __init__(self, message: str, *, readings: tuple[str, ...]) -> None:
        super().__init__(message)
        self.readings = readings

    def __reduce__(self) -> tuple[object, ...]:
        return partial(type(self), readings=self.readings), self.args


class NonFiniteError(LatentsError):
    """Latents or pixels holding NaN or infinity; ``frame`` is the first such frame, from 0."""

    def __init__(self, message: str, *, frame: int) -> None:
        super().__init__(message)
        self.frame = frame

    def __reduce__(self) -> tuple[object, ...]:
        return partial(type(self), frame=self.frame), self.args


class CheckpointError(InputError):
    """A file of weights that cannot be read, or that fits no known model."""


class ModelNotFoundError(InputError):
    """No model goes by that name, or its weights are neither cached nor reachable."""


class DownloadError(TaesdStreamError):
    """Weights could not be fetched, or what arrived is not what was published."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after everything was put in order; the message says what is left and where."""


class OutOfMemoryError(TaesdStreamError, MemoryError):
    """Not even the smallest tile fits into the memory there is."""


# As in ``video.errors``: tracebacks name errors as users catch them.
for _name in __all__:
    globals()[_name].__module__ = "taesd_stream"
