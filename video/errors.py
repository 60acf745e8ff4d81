"""The roots of the tree of exceptions, which ``taesd_stream.errors`` goes on with.

``InputError`` means that something given was wrong (an argument, a file to read); ``OutputError``
that the work could not be finished (the disk is full, the encoder failed).
"""

from __future__ import annotations

import re
from typing import Final, Self

__all__ = [
    "InputError",
    "MissingExtraError",
    "OutputError",
    "OutputExistsError",
    "TaesdStreamError",
    "first_line",
]


_TERMINAL_CODE: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_SENTENCE_END: Final = re.compile(r"(?<=[a-z0-9)'\"\]]{2})[.!?](?= +[A-Z(])")
_LAST_LETTERS: Final = ".:;, "


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


def first_line(error: BaseException, *, most_letters: int = 120) -> str:
    """The first sentence of what another exception says, for one line of a message.

    Colours of a terminal are taken out of it, and what is longer than ``most_letters`` ends behind
    a word.

    >>> first_line(ValueError("no such tile: \\n it is missing"))
    'no such tile'
    >>> first_line(ValueError("\\x1b[1mUnsupported\\x1b[0m class. Please see the manual."))
    'Unsupported class'
    """
    text = _TERMINAL_CODE.sub("", str(error)).strip() or type(error).__name__
    line = "".join(letter if letter.isprintable() else "?" for letter in text.splitlines()[0])
    sentence = _SENTENCE_END.split(line, maxsplit=1)[0]
    if len(sentence) > most_letters:
        sentence = sentence[: most_letters + 1].rpartition(" ")[0] or sentence[:most_letters]
        return f"{sentence.rstrip(_LAST_LETTERS)} ..."
    return sentence.rstrip(_LAST_LETTERS)


# Tracebacks name errors as users catch them: ``except taesd_stream.InputError``.
for _name in __all__[:-1]:
    globals()[_name].__module__ = "taesd_stream"
