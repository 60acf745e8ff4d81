"""README and the pages of docs: their blocks of code, links and anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Block", "all_pages", "anchors_of", "blocks_of", "links_of", "written_pages"]

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NEEDS = re.compile(r"<!-- needs: ([\w ]+) -->\n\Z")
_ROW = re.compile(r"^\| `(taesd-video [^`]+)`", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_REFERENCE = re.compile(r"^::: (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code, or a command in the first column of a table.

    ``needs`` is the word of the comment ``<!-- needs: WORD -->`` above it, or None.
    """

    language: str
    text: str
    line: int
    needs: str | None


def written_pages() -> list[Path]:
    """README and the pages that people write."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def all_pages() -> list[Path]:
    """These and the reference."""
    return [*written_pages(), *sorted((ROOT / "docs" / "api").glob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """What is to be run of a page, in its order."""
    text = page.read_text(encoding="utf-8")
    found = [(each, each[1], each[2]) for each in _FENCE.finditer(text)]
    found += [(each, "sh", each[1]) for each in _ROW.finditer(text)]
    return [
        Block(language, code, text.count("\n", 0, match.start()) + 1, _needs(text, match.start()))
        for match, language, code in sorted(found, key=lambda each: each[0].start())
    ]


def _needs(text: str, start: int) -> str | None:
    found = _NEEDS.search(text[:start])
    return found[1] if found else None


def links_of(page: Path) -> Iterator[tuple[Path, str]]:
    """The file and the anchor ("" if none) of every link of a page that stays in the project."""
    for target in _LINK.findall(_prose(page)):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


def anchors_of(page: Path) -> set[str]:
    """What links to a page may name after "#": its headings, and what its reference documents."""
    prose = _prose(page)
    slugs = {
        re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
        for heading in _HEADING.findall(prose)
    }
    return slugs | set(_REFERENCE.findall(prose))


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))
