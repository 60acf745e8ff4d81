"""The note in a padded video's file of how large its pictures truly are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

__all__ = ["noted_size", "read_size_note", "write_size_note"]

_NOTE = re.compile(r"true size (\d{1,5})x(\d{1,5})")


def write_size_note(container: OutputContainer, width: int, height: int) -> None:
    """Note the size in pixels as the file's comment, before anything is written."""
    container.metadata["comment"] = f"true size {width}x{height}"


def read_size_note(container: InputContainer) -> str:
    """The file's comment, which is the note if the video was padded; empty if there is none."""
    return container.metadata.get("comment") or container.metadata.get("COMMENT") or ""


def noted_size(container: InputContainer) -> tuple[int, int] | None:
    """Width and height in pixels of what was padded; None where nothing was."""
    match = _NOTE.fullmatch(read_size_note(container))
    return (int(match[1]), int(match[2])) if match else None
