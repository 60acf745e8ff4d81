"""The roots of the tree of exceptions, which ``taesd_stream.errors`` goes on with.

``InputError`` means that something given was wrong (an argument, a file to read); ``OutputError``
that the work could not be finished (the disk is full, the encoder failed).
"""

from __future__ import annotations

from typing import Self

__all__ = [
    "InputError",
    "MissingExtraError",
    "OutputError",
    "OutputExistsError",
    "TaesdStreamError",
    "first_line",
]


class TaesdStreamError(Exception):
    """The root of the tree.

    Attributes:
        details: Lines that say more than the message, for those who want to know; notes, too.
    """

    details: tuple[str, ...] = ()

    def with_details(self, *lines: str) -> Self:
        """The same error with lines of details, which tracebacks and ``--verbose`` show."""
        self.details = (*self.details, *lines)
        for line in lines:
            self.add_note(line)
        return self


class InputError(TaesdStreamError, ValueError):
    """An argument or a file is wrong; the message says what was expected, found, and to be done."""


class OutputExistsError(InputError):
    """The output is there already, and overwriting it was not asked for."""


class OutputError(TaesdStreamError, OSError):
    """The output could not be written to its end: a full disk, an encoder that gave up."""


class MissingExtraError(TaesdStreamError, ImportError):
    """An optional library is absent; the message holds the pip command that installs it."""


def first_line(error: BaseException) -> str:
    """The beginning of what another library's exception says, for one line of a message.

    >>> first_line(ValueError("no such tile: \\n it is missing"))
    'no such tile'
    """
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:120].rstrip(".:; ")


# Tracebacks name errors as users catch them: ``except taesd_stream.InputError``.
for _name in __all__[:-1]:
    globals()[_name].__module__ = "taesd_stream"
