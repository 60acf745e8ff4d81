"""The reference pages: one for each package, with every public name, which mkdocstrings fills."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import taesd_stream
import tiling
import video

__all__ = ["reference_pages"]

_PACKAGES: tuple[ModuleType, ...] = (taesd_stream, video, tiling)
# What taesd_stream shows is made by its functions; what the others show, by whoever uses it.
_WITH_CONSTRUCTOR = "\n    options:\n      merge_init_into_class: true"


def reference_pages() -> Iterator[tuple[str, str]]:
    """Each page's name and text."""
    for package in _PACKAGES:
        summary = (package.__doc__ or "").strip().splitlines()[0]
        options = "" if package is taesd_stream else _WITH_CONSTRUCTOR
        parts = [
            f"# {package.__name__}",
            "<!-- Written by tools/make_docs.py from the package's public names. -->",
            summary,
            *(f"::: {package.__name__}.{name}{options}" for name in _documented(package)),
        ]
        yield package.__name__, "\n\n".join(parts) + "\n"


def _documented(package: ModuleType) -> list[str]:
    """The public names; errors that `video` shares with `taesd_stream` are told of once."""
    shared = {"taesd_stream"} if package is not taesd_stream else set()
    names = [
        name
        for name in package.__all__
        if getattr(getattr(package, name), "__module__", None) not in shared
    ]
    return sorted(names, key=str.lower)
