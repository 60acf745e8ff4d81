"""What is generated is as the code would have it, and the site is built of it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import make_docs
import pytest

import taesd_stream
import tiling
import video
from taesd_stream.cli.parser import make_parser
from tests.docs.pages import ROOT, all_pages, anchors_of


def test_everything_generated_is_current() -> None:
    stale = [str(path.relative_to(ROOT)) for path, _ in make_docs.stale_files()]
    assert stale == [], "run python tools/make_docs.py"


def test_check_complains_of_what_is_not_current(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "README.md"
    page.write_text("# A\n\n<!-- generated: codecs -->\nold\n<!-- end -->\n\nB\n")
    monkeypatch.setattr(make_docs, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["make_docs.py", "--check"])
    assert make_docs.main() == 1
    assert "not current: README.md" in capsys.readouterr().err
    assert "old" in page.read_text()
    monkeypatch.setattr(sys, "argv", ["make_docs.py"])
    assert make_docs.main() == 0
    written = page.read_text()
    assert "| `h264` |" in written
    assert written.startswith("# A\n")
    assert written.endswith("\nB\n")
    monkeypatch.setattr(sys, "argv", ["make_docs.py", "--check"])
    assert make_docs.main() == 0


def test_every_command_has_its_section() -> None:
    (subparsers,) = (each for each in make_parser()._actions if isinstance(each.choices, dict))
    assert set(subparsers.choices or ()) <= anchors_of(ROOT / "docs" / "command-line.md")


@pytest.mark.parametrize("package", [taesd_stream, video, tiling])
def test_every_public_name_is_in_the_reference(package: object) -> None:
    documented = set().union(*map(anchors_of, all_pages()))
    for name in package.__all__:  # type: ignore[attr-defined]
        home = getattr(getattr(package, name), "__module__", None)
        own = package.__name__  # type: ignore[attr-defined]
        assert f"{own}.{name}" in documented or f"{home}.{name}" in documented


def test_every_page_is_in_the_site(tmp_path: Path) -> None:
    with (ROOT / "zensical.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    listed = {f"docs/{page}" for page in _leaves(project["nav"])}
    assert listed == {str(page.relative_to(ROOT)) for page in all_pages()[1:]}


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("zensical", "mkdocstrings"))),
    reason="builds the site with the extra docs, which is not installed",
)
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    for name in ("zensical.toml", "docs", "taesd_stream", "tiling", "tools", "video"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    built = tmp_path / "site"
    reference = (built / "api" / "taesd_stream.html").read_text(encoding="utf-8")
    assert 'id="taesd_stream.AutoEncoder.decode"' in reference
    assert "Pictures from latents." in reference
    for page in all_pages()[1:]:
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert (built / name).is_file()


def test_examples_in_docstrings_are_shown_as_code() -> None:
    pytest.importorskip("griffe", reason="reads docstrings with the extra docs")
    from griffe_doctests import fenced

    docstring = "Add:\n\n    >>> 1 + 1\n    2\n\nThat is all."
    assert fenced(docstring) == (
        "Add:\n\n    ```pycon\n    >>> 1 + 1\n    2\n    ```\n\nThat is all."
    )


def _leaves(node: object) -> list[str]:
    if isinstance(node, str):
        return [node]
    children = node.values() if isinstance(node, dict) else node
    return [leaf for child in children for leaf in _leaves(child)]  # type: ignore[attr-defined]
