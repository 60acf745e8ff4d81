"""What examples of docs need of hosts is here, so that they run."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="diffusers' pipelines need transformers")

from tests.docs.pages import blocks_of, written_pages

_BLOCKS = [
    pytest.param(block.text, id=f"{page.stem}:{block.line}")
    for page in written_pages()
    for block in blocks_of(page)
    if block.needs == "transformers"
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("text", _BLOCKS)
def test_the_examples_run(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(text, {"__name__": "example"})
    assert list(tmp_path.iterdir()) != []
