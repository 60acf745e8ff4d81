"""Bytes and numbers of things, in words."""

from __future__ import annotations

__all__ = ["format_bytes", "format_seconds", "plural"]


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


def format_seconds(seconds: float) -> str:
    """A time that was estimated, in the unit a person would use.

    >>> [format_seconds(each) for each in (0.01, 2.34, 45.2, 170, 9000, 400_000)]
    ['less than 0.1 s', 'about 2.3 s', 'about 45 s', 'about 3 min', 'about 2.5 h', 'about 4.6 days']
    """
    if seconds < 0.095:
        return "less than 0.1 s"
    for unit, size, enough in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        count = seconds / size
        if count < enough:
            digits = 0 if count >= 9.95 or unit == "min" else 1
            return f"about {count:.{digits}f} {unit}"
    return f"about {seconds / 86400:.1f} days"
