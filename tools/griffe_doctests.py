"""An extension of griffe, which reads docstrings for the reference: examples are shown as code."""

from __future__ import annotations

import re
from typing import Any

import griffe

__all__ = ["Doctests", "fenced"]

# Indented lines from a prompt up to an empty line.
_EXAMPLE = re.compile(r"^([ ]*)>>> .*\n?(?:[ ]*\S.*\n?)*", re.MULTILINE)


class Doctests(griffe.Extension):
    """Fences the examples of every docstring, which are else taken for quotations."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object that was read."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(docstring: str) -> str:
    """A docstring whose examples are blocks of code."""

    def fence(found: re.Match[str]) -> str:
        indent, code = found[1], found[0].rstrip("\n")
        return f"{indent}```pycon\n{code}\n{indent}```\n"

    return _EXAMPLE.sub(fence, docstring)
