"""Every example of README and docs runs: blocks of Python, and lines of `taesd-video`.

Blocks of a page share one folder and one namespace, in the page's order. What needs a network, or
another program, says so in a comment above it: ``<!-- needs: network -->``.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from taesd_stream.cli.main import main
from taesd_stream.cli.parser import make_parser
from tests.docs.example_files import latents
from tests.docs.pages import ROOT, Block, blocks_of, written_pages

_PAGES = [
    page
    for page in written_pages()
    if any(block.language in ("python", "sh") for block in blocks_of(page))
]
_COMMAND = re.compile(r"^(?:(\w+)=(\S+) )?taesd-video (.+)$")
_NEEDS = {
    *("network", "a diffusion model", "ffplay", "openvino", "several machines", "transformers"),
    "an interrupt",
}


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_the_examples_run(
    page: Path, workplace: Path, done: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = _names()
    given = set(workplace.iterdir())
    for block in blocks_of(page):
        if block.needs is not None or (_needs_openvino(block) and not find_spec("openvino")):
            continue
        with monkeypatch.context() as patch:
            if not _needs_openvino(block):  # it takes its time to compile
                patch.setitem(sys.modules, "openvino", None)
            if block.language == "python":
                _clear(set(workplace.iterdir()) - given)
                _run_python(page, block, names)
            elif block.language == "sh":
                for line in block.text.splitlines():
                    if line not in done:
                        _run_command(line.partition("  #")[0], patch)
                    done.add(line)


@pytest.fixture(scope="session")
def done() -> set[str]:
    """The commands that have run; what another page says again is not run again."""
    return set()


def test_blocks_say_what_they_are_and_what_they_need() -> None:
    for page in written_pages():
        for block in blocks_of(page):
            where = f"{page.name}:{block.line}"
            assert block.language in ("python", "sh", "text", "yaml"), f"{where} names no language"
            assert block.needs is None or block.needs in _NEEDS, f"{where}: {block.needs}"


def test_no_example_is_indented_out_of_sight() -> None:
    for page in written_pages():
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        assert not re.findall(r"^ {4}(?:taesd-video|import|ae\.)", text, re.M), page.name


def _names() -> dict[str, Any]:
    """What examples take for given."""
    return {
        "torch": torch,
        "z": latents(1, 4, 6, 10),
        "clip": latents(1, 3, 16, 2, 2),
        "latents_one_by_one": iter(latents(2, 4, 2, 2)),
        "first_latents": latents(2, 16, 2, 2),
        "other_latents": latents(2, 16, 2, 2),
        "show": lambda frame: None,
        "__name__": "example",
    }


def _run_python(page: Path, block: Block, names: dict[str, Any]) -> None:
    code = "\n" * block.line + block.text
    exec(compile(code, str(page.relative_to(ROOT)), "exec"), names)


def _needs_openvino(block: Block) -> bool:
    return "int8" in block.text


def _run_command(line: str, patch: pytest.MonkeyPatch) -> None:
    """Run it, if it is one of ours; what an earlier example has written makes room."""
    found = _COMMAND.match(line)
    if found is None:
        return
    variable, value, words = found.groups()
    arguments = make_parser().parse_args(shlex.split(words))
    if arguments.command == "demo":  # takes its time, and has a test of its own
        return
    if arguments.command != "plan" and getattr(arguments, "output", None):
        _clear({Path(arguments.output)})
    if variable:
        patch.setenv(variable, value)
    assert main(shlex.split(words)) == 0, line


def _clear(paths: set[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
