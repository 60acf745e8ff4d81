from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.comfyui.stand_in import ComfyUI

_ROOM = "taesd_stream.comfyui"
_IN_COMFYUI = ("host", "nodes", "saving", "tiny_vae")


@pytest.fixture
def comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ComfyUI:
    """A ComfyUI that the nodes' modules, imported from now on, are in."""
    made = ComfyUI(tmp_path / "ComfyUI")
    for name, module in made.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


@pytest.fixture
def nodes(comfyui: ComfyUI) -> Iterator[ModuleType]:
    """The module of the nodes, in that ComfyUI."""
    from taesd_stream.comfyui import nodes as found

    yield found
    room = sys.modules[_ROOM]
    for name in _IN_COMFYUI:
        del sys.modules[f"{_ROOM}.{name}"], vars(room)[name]
