"""Words for the part of an output that an interrupt leaves."""

from __future__ import annotations

import os
from pathlib import Path

from taesd_stream.jobs.standard_output import STANDARD_OUTPUT
from taesd_stream.latents.writing.stack_writer import StackWriter
from video import ImageSequenceWriter
from video.sink import Sink

__all__ = ["inode_of", "kept_pictures", "what_is_left"]


def inode_of(out: str | os.PathLike[str]) -> int | None:
    """A number that tells a file from the one that replaces it; None if there is no file."""
    path = Path(out)
    try:
        return path.stat().st_ino if path.is_file() else None
    except OSError:
        return None


def kept_pictures(sink: object) -> str | None:
    """The numbered pictures that are there, in words; None for other sinks, or if there are none.

    They are complete, each, and stay whatever happens to those after them.
    """
    if not isinstance(sink, ImageSequenceWriter) or not sink.files:
        return None
    first, last = sink.files[0], sink.files[-1]
    if first == last:
        return f"1 finished picture is kept, {first}"
    return f"{len(sink.files)} finished pictures are kept, {first} to {last}"


def what_is_left(
    sink: Sink | StackWriter | None,
    out: str | os.PathLike[str],
    inode_before: int | None,
    *,
    what: str = "frames",
) -> str:
    """The part of ``out`` that is there after an interrupt, in words.

    Args:
        sink: The writer, after its block; None if it was not opened.
        inode_before: What ``inode_of`` told before the work began.
        what: What was written.
    """
    written = sink.frames_written if sink is not None else 0
    if sink is not None and sink.kept_part is not None and sink.kept_part.exists():
        return f"the first {written} {what} are in {sink.kept_part}, which can be opened"
    pictures = kept_pictures(sink)
    if pictures is not None:
        return pictures
    if os.fspath(out) == STANDARD_OUTPUT:
        return f"{written} {what} went to standard output"
    if inode_of(out) not in (None, inode_before):
        return f"{out} is complete: {written} {what}"
    return "nothing is left behind"
