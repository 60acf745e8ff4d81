from __future__ import annotations

import json
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import taesd_stream as ts
from taesd_stream.cli.main import main
from taesd_stream.comfyui.installing import install


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    """The folder of a ComfyUI, as far as the command looks at it."""
    root = tmp_path / "ComfyUI"
    (root / "custom_nodes").mkdir(parents=True)
    (root / "comfyui_version.py").write_text('__version__ = "0.3.64"\n')
    return root


def with_python(root: Path, script: str) -> Path:
    """A Python of its own, as far as anybody can tell."""
    python = root / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return python


def test_the_command_puts_three_lines_into_custom_nodes(comfyui: Path, capsys) -> None:
    assert main(["comfyui", str(comfyui), "--json"]) == 0
    folder = comfyui / "custom_nodes" / "taesd-stream"
    (told,) = capsys.readouterr().out.splitlines()
    files = [Path(each) for each in json.loads(told)["files"]]
    assert files == sorted(each for each in folder.rglob("*") if each.is_file())
    assert {each.name for each in files} == {
        "__init__.py",
        "decode_to_video.json",
        "pyproject.toml",
    }
    lines = [line for line in (folder / "__init__.py").read_text().splitlines() if line]
    assert len(lines) == 3
    assert main(["comfyui", str(comfyui)]) == 0
    assert f"such as {sys.executable}" in capsys.readouterr().out


def test_its_python_is_asked(comfyui: Path, capsys) -> None:
    python = with_python(comfyui, f'exec {sys.executable} "$@"')
    assert main(["comfyui", str(comfyui)]) == 0
    assert f"{python} has taesd-stream; restart" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("script", "said"), [("exit 1", "-m pip install taesd-stream"), ("", None)]
)
def test_a_python_without_the_package_is_named(
    comfyui: Path, script: str, said: str | None
) -> None:
    python = with_python(comfyui, script)
    if said is None:
        python.write_text("#!/nowhere/at/all\n")
    with pytest.raises(ts.InputError, match=said or "found that it does not: .*") as caught:
        install(comfyui)
    assert str(python) in str(caught.value)
    assert list((comfyui / "custom_nodes").iterdir()) == []


def test_what_is_not_ours_is_replaced_only_on_demand(comfyui: Path, capsys) -> None:
    folder = comfyui / "custom_nodes" / "taesd-stream"
    folder.mkdir()
    (folder / "mine.txt").write_text("kept")
    (folder / "__init__.py").write_text("raise SystemExit\n")
    assert main(["comfyui", str(comfyui)]) == 2
    assert "__init__.py' exists already and is not as it comes" in capsys.readouterr().err
    assert len(list(folder.iterdir())) == 2
    assert main(["comfyui", str(comfyui), "--overwrite"]) == 0
    assert "taesd_stream.comfyui" in (folder / "__init__.py").read_text()
    assert (folder / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere", "found no folder there"),
        ("", "found one with ComfyUI in it; give .*ComfyUI"),
        ("ComfyUI/custom_nodes", "found the folder of nodes in it; give .*ComfyUI"),
        ("ComfyUI/models", "found a folder without it"),
    ],
)
def test_another_folder_is_refused(comfyui: Path, path: str, said: str) -> None:
    (comfyui / "models").mkdir()
    with pytest.raises(ts.InputError, match=f"which holds custom_nodes, at .*{said}"):
        install(comfyui.parent / path)


def test_an_old_comfyui_is_refused(comfyui: Path) -> None:
    (comfyui / "comfyui_version.py").write_text('__version__ = "0.3.9"\n')
    with pytest.raises(ts.InputError, match=r"expected ComfyUI 0\.3\.64 or later, found 0\.3\.9"):
        install(comfyui)


def test_a_custom_nodes_that_is_a_file_is_named(comfyui: Path) -> None:
    (comfyui / "custom_nodes" / "taesd-stream").write_text("a file")
    with pytest.raises(ts.OutputError, match="failed: File exists"):
        install(comfyui)


def test_the_registry_finds_what_it_wants(comfyui: Path) -> None:
    install(comfyui)
    file = comfyui / "custom_nodes" / "taesd-stream" / "pyproject.toml"
    read = tomllib.loads(file.read_text())
    project, comfy = read["project"], read["tool"]["comfy"]
    assert project["version"] == version("taesd-stream")
    assert project["dependencies"] == [f"taesd-stream>={version('taesd-stream')}"]
    assert "Repository" in project["urls"]
    assert {"PublisherId", "DisplayName", "Icon", "requires-comfyui"} <= set(comfy)
    assert comfy["requires-comfyui"] == ">=0.3.64"


def test_outside_of_comfyui_the_nodes_say_where_they_belong() -> None:
    import taesd_stream.comfyui

    with pytest.raises(ts.MissingExtraError, match="taesd-video comfyui PATH puts them into"):
        from taesd_stream.comfyui import NODE_CLASS_MAPPINGS  # noqa: F401
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        taesd_stream.comfyui.nothing  # noqa: B018
