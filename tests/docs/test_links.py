"""No link in README or docs leads nowhere, and every page can be reached."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, all_pages, anchors_of, blocks_of, links_of

PAGES = all_pages()

_PATH = re.compile(r"`((?:[a-z]\w*/)+(?:\w+\.py)?)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in links_of(page):
        assert path.exists(), f"{page.name} links to {path}, which is not there"
        if anchor:
            assert anchor in anchors_of(path), f"{page.name} links to #{anchor} of {path.name}"


def test_pages_of_the_site_link_nothing_outside_it() -> None:
    for page in PAGES[1:]:
        assert all(path.is_relative_to(ROOT / "docs") for path, _ in links_of(page)), page.name


def test_every_page_and_picture_is_linked() -> None:
    linked = {path for page in PAGES for path, _ in links_of(page)}
    pictures = {
        path for path in (ROOT / "docs").iterdir() if path.suffix not in (".css", ".md", "")
    }
    assert {*PAGES[1:], *pictures} - linked == set()


def test_files_and_rooms_that_pages_name_are_there() -> None:
    for page in PAGES:
        for named in re.findall(
            r"`((?:[a-z]\w*/)+(?:\w+\.py)?)`", page.read_text(encoding="utf-8")
        ):
            places = (ROOT / named, ROOT / "taesd_stream" / named)
            assert named == "site/" or any(each.exists() for each in places), (
                f"{page.name}: {named}"
            )


def test_the_rooms_are_all_told_of() -> None:
    (tree,) = (
        block.text
        for block in blocks_of(ROOT / "docs" / "architecture.md")
        if block.text.startswith("tiling/")
    )
    told = {line.split()[0] for line in tree.splitlines()}
    rooms = {
        f"{folder.name}/"
        for folder in (ROOT / "taesd_stream").rglob("*")
        if folder.is_dir() and any(folder.glob("*.py"))
    }
    assert rooms - told == set()


def test_the_readme_is_short() -> None:
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 170


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b`: c\n\n[x](gone.md) [y](#a-b-c)\n\n```sh\n[z](not-a-link)\n```\n")
    assert list(links_of(page)) == [(tmp_path / "gone.md", ""), (page, "a-b-c")]
    assert anchors_of(page) == {"a-b-c"}
