"""Every exception this package raises on purpose, on one screen.

``InputError`` and its children mean that something given was wrong: the command line ends with
status 2. The others mean that the work could not be done: status 1.
"""

from __future__ import annotations

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
    "TaesdStreamError",
]


class TaesdStreamError(Exception):
    """The root of the tree."""


class InputError(TaesdStreamError, ValueError):
    """An argument or a file is wrong; the message says what was expected, found, and to be done."""


class LatentsError(InputError):
    """A source of latents that cannot be read, or whose layout is unknown."""


class LayoutError(LatentsError):
    """Latents whose axes fit several layouts; ``readings`` are these, likeliest first."""

    def __init__(self, message: str, *, readings: tuple[str, ...]) -> None:
        super().__init__(message)
        self.readings = readings


class NonFiniteError(LatentsError):
    """Latents or pixels holding NaN or infinity; ``frame`` is the first such frame, from 0."""

    def __init__(self, message: str, *, frame: int) -> None:
        super().__init__(message)
        self.frame = frame


class CheckpointError(InputError):
    """A file of weights that cannot be read, or that fits no known model."""


class ModelNotFoundError(InputError):
    """No model goes by that name, or its weights are neither cached nor reachable."""


class DownloadError(TaesdStreamError):
    """Weights could not be fetched, or what arrived is not what was published."""


class OutputError(TaesdStreamError, OSError):
    """The output could not be written to its end: a full disk, an encoder that gave up."""


class MissingExtraError(TaesdStreamError, ImportError):
    """An optional library is absent; the message holds the pip command that installs it."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after everything was put in order; the message says what is left and where."""


class OutOfMemoryError(TaesdStreamError, MemoryError):
    """Not even the smallest tile fits into the memory there is."""
