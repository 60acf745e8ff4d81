"""Bytes and numbers of things, in words."""

from __future__ import annotations

__all__ = ["format_bytes", "plural"]


def format_bytes(count: int) -> str:
    """``count`` bytes in the unit a person would use.

    >>> format_bytes(320 * 2**20)
    '320 MiB'
    """
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{_three_digits(size)} {unit}"
        size /= 1024
    return f"{_three_digits(size)} TiB"


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def plural(count: int, noun: str) -> str:
    """A number of things.

    >>> plural(1, "frame"), plural(3, "frame")
    ('1 frame', '3 frames')
    """
    ending = "" if count == 1 else "es" if noun.endswith("ch") else "s"
    return f"{count} {noun}{ending}"
