"""What a page is told of what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from taesd_stream.live.published import Published

__all__ = ["Told"]


@dataclass(frozen=True, slots=True)
class Told:
    """What a page is told of what it shows.

    Attributes:
        title: In words.
        recordings: The folder for recordings.
        published: Targets beside it that get every frame.
    """

    title: str
    recordings: Path
    published: Published
