"""The glossary is in order, and what it tells of is where it says."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (Path(__file__).parents[2] / "docs/glossary.md").read_text().splitlines()
    if line.startswith("| ")
][2:]


def test_words_are_in_alphabetical_order_and_each_is_there_once() -> None:
    words = [word for word, _, _ in ROWS]
    assert words == sorted(set(words))


def test_the_modules_are_there() -> None:
    for word, _, where in ROWS:
        modules = re.findall(r"`([\w.]+)`", where)
        assert modules, word
        assert [name for name in modules if find_spec(name) is None] == [], word
