"""Libraries that log to standard error where nobody set up logging, kept from it."""

from __future__ import annotations

import logging

__all__ = ["keep_from_stderr"]


def keep_from_stderr(library: str) -> None:
    """Let what a library logs go only where the program that uses us sends it."""
    log = logging.getLogger(library)
    if not log.handlers:
        log.addHandler(logging.NullHandler())
