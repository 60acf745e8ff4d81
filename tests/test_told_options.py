"""Messages that name an option of the command line name the keyword of Python, too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
_FLAG = re.compile(r"(?<![\w-])--[a-z]")
_ROOM_OF_THE_COMMAND = "taesd_stream/cli/"


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The texts of a module but for docstrings, with their lines."""
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            told |= {id(part) for part in node.values}
            parts = (part.value for part in node.values if isinstance(part, ast.Constant))
            yield node.lineno, "{}".join(map(str, parts))
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
        ):
            yield node.lineno, node.value


def complaints_about(name: str, source: str) -> Iterator[str]:
    for line, text in texts(ast.parse(source)):
        if len(text.split()) > 2 and _FLAG.search(text) and "in Python" not in text:
            yield f"{name}:{line}: {text}"


def test_a_python_user_is_told_the_keyword() -> None:
    found = []
    for folder in ("taesd_stream", "video", "tiling"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(_ROOM_OF_THE_COMMAND):
                found += complaints_about(name, path.read_text(encoding="utf-8"))
    assert found == []


def test_what_it_complains_about() -> None:
    texts = ('f"{a}: say with --model"', '"or give --crop"', '"give --size (size= in Python)"')
    told = [list(complaints_about("a.py", f"raise E({text})")) for text in texts]
    assert list(map(len, told)) == [1, 1, 0]
