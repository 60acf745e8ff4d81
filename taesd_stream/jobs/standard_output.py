"""Standard output as the place that a video goes to."""

from __future__ import annotations

import sys

from taesd_stream.errors import InputError

__all__ = ["STANDARD_OUTPUT", "check_standard_output"]

STANDARD_OUTPUT = "-"


def check_standard_output() -> None:
    """Refuse to write a video to a terminal.

    Raises:
        InputError: Standard output is one, or closed.
    """
    if sys.stdout is None or sys.stdout.isatty():
        found = "it is closed" if sys.stdout is None else "a terminal, which shows no video"
        raise InputError(
            f"output: expected standard output to go to a file or another program, found {found};"
            " write > out.mkv or | ffplay - after the command"
        )
