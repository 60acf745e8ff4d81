"""Tables and text in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["code", "code_list", "escaped", "table"]


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; columns whose name ends in ":" are aligned to the right.

    >>> print(table(["name", "size:"], [["a", 3]]))
    | name | size |
    | --- | ---: |
    | a | 3 |
    """
    names = [column.removesuffix(":") for column in columns]
    rules = ["---:" if column.endswith(":") else "---" for column in columns]
    lines = [names, rules, *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(word: str) -> str:
    """A word in the type of code, which may hold what else would end a table's cell.

    >>> print(code("a"), code("a|b"))
    `a` <code>a&#124;b</code>
    """
    return f"<code>{word.replace('|', '&#124;')}</code>" if "|" in word else f"`{word}`"


def code_list(words: Iterable[str]) -> str:
    """Words in the type of code, one after the other."""
    return " ".join(map(code, words))


def escaped(text: str) -> str:
    """Text that is shown as it is, also in a table; what is between backticks is code.

    >>> print(escaped("a `b_c` d_e"))
    a `b_c` d\\_e
    """
    parts = text.split("`")
    parts[::2] = [re.sub(r"([\\*_<|\[])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)
