"""What a page is told of what it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from taesd_stream.live.shown_frame import ShownFrame

__all__ = ["Told"]


@dataclass(frozen=True, slots=True)
class Told:
    """What a page is told of what it shows.

    Attributes:
        title: In words.
        recordings: The folder for recordings.
        publish: Told each frame, and not to wait.
    """

    title: str
    recordings: Path
    publish: Callable[[ShownFrame], None]
