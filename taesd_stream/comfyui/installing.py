"""The nodes in a ComfyUI, and the Python that is to run them; needs no ComfyUI to be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from taesd_stream.errors import InputError, OutputExistsError
from video.safe_files.part_file import write_faults
from video.safe_files.replacing import replacing

__all__ = ["Installed", "install"]

_FOLDER = "taesd-stream"
_LEAST_VERSION = (0, 3, 64)
_PYTHONS = (
    "venv/bin/python",
    ".venv/bin/python",
    "venv/Scripts/python.exe",
    ".venv/Scripts/python.exe",
    "../python_embeded/python.exe",  # as the portable ComfyUI spells it
)
_PATIENCE = 60  # seconds


@dataclass(frozen=True, slots=True)
class Installed:
    """The nodes in a ComfyUI.

    Attributes:
        folder: Where they are.
        files: What is there.
        python: The Python that runs this ComfyUI, which has taesd_stream; None where it was not
            found.
    """

    folder: Path
    files: tuple[Path, ...]
    python: Path | None

    def __str__(self) -> str:
        if self.python is None:
            told = (
                "no Python was found beside it: start it with one that has taesd-stream, such as"
                f" {sys.executable}"
            )
        else:
            told = f"{self.python} has taesd-stream"
        return f"{self.folder}: nodes for ComfyUI; {told}; restart ComfyUI to load them"

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        python = None if self.python is None else os.fspath(self.python)
        return {"files": [os.fspath(each) for each in self.files], "python": python}


def install(path: str | os.PathLike[str], *, overwrite: bool = False) -> Installed:
    """Put the nodes into a ComfyUI, and check that its Python can load them.

    Args:
        path: The folder of ComfyUI: the one with ``custom_nodes`` in it.
        overwrite: Whether files of another content may be replaced.

    Raises:
        InputError: It is no such folder, its ComfyUI is too old, or its Python lacks taesd_stream.
        OutputExistsError: There is another file in the place of one of ours.
        OutputError: A file could not be written.
    """
    root = Path(path)
    _check_folder(root)
    _check_version(root)
    python = _python_of(root)
    folder = root / "custom_nodes" / _FOLDER
    given = dict(_files(resources.files("taesd_stream.comfyui").joinpath("custom_node")))
    wanted = {folder / name: content for name, content in given.items()}
    missing = {file: content for file, content in wanted.items() if not _holds(file, content)}
    if not overwrite:
        for file in filter(os.path.lexists, missing):
            raise OutputExistsError(
                f"'{file}' exists already and is not as it comes with this version; replace it with"
                " --overwrite (overwrite=True in Python)"
            )
    for file, content in missing.items():
        with write_faults(file, f"writing '{file}'"):
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as part:
                part.write_bytes(content)
    return Installed(folder, tuple(wanted), python)


def _check_folder(root: Path) -> None:
    if (root / "custom_nodes").is_dir():
        return
    inside = root / "ComfyUI"
    if not root.is_dir():
        found = "no folder there"
    elif (inside / "custom_nodes").is_dir():
        found = f"one with ComfyUI in it; give {inside}"
    elif root.name == "custom_nodes":
        found = f"the folder of nodes in it; give {root.parent}"
    else:
        found = "a folder without it"
    raise InputError(
        f"path: expected the folder of a ComfyUI, which holds custom_nodes, at '{root}'; found"
        f" {found}"
    )


def _check_version(root: Path) -> None:
    """Refuse a ComfyUI that is too old; of one whose code is elsewhere, nothing is known."""
    try:
        text = (root / "comfyui_version.py").read_text(encoding="utf-8")
    except OSError:
        return
    _, _, after = text.partition('__version__ = "')
    numbers = after.partition('"')[0].split(".")
    if all(each.isdecimal() for each in numbers) and tuple(map(int, numbers)) < _LEAST_VERSION:
        least = ".".join(map(str, _LEAST_VERSION))
        raise InputError(
            f"path: expected ComfyUI {least} or later, found {'.'.join(numbers)} at '{root}';"
            " update it first"
        )


def _python_of(root: Path) -> Path | None:
    """The Python of a ComfyUI, if one lies beside it.

    Raises:
        InputError: It lacks taesd_stream.
    """
    python = next((root / each for each in _PYTHONS if (root / each).is_file()), None)
    if python is None:
        return None
    asked = [os.fspath(python.absolute()), "-c", "import taesd_stream.comfyui"]
    try:
        answer = subprocess.run(asked, capture_output=True, check=False, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(
            f"path: expected a Python that runs at '{python}', which is ComfyUI's; found that it"
            f" does not: {error}"
        ) from error
    if answer.returncode:
        raise InputError(
            f"path: expected ComfyUI's Python to have taesd-stream, found that it has not; install"
            f" it: {python} -m pip install taesd-stream"
        )
    return python


def _holds(file: Path, content: bytes) -> bool:
    try:
        return file.read_bytes() == content
    except OSError:
        return False


def _files(folder: Traversable, within: str = "") -> list[tuple[str, bytes]]:
    """The files of a folder in the package, by their path in it."""
    found = []
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if each.is_dir():
            found += [] if each.name == "__pycache__" else _files(each, f"{within}{each.name}/")
        else:
            found.append((f"{within}{each.name}", each.read_bytes()))
    return found
