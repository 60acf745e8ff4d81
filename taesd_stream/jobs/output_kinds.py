"""The one table of what each kind of output takes.

Refusals, the command line's help and the documentation are made from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from video.large.formats import FORMATS, ROW_SUFFIXES

__all__ = [
    "KINDS",
    "ONLY_IN_PYTHON",
    "SUFFIXES",
    "OutputKind",
    "compressions",
    "suffixes_that_take",
]


@dataclass(frozen=True, slots=True)
class OutputKind:
    """Files that take the same options.

    Attributes:
        what: What one is, after "is".
        suffixes: What their names end in, in small letters; none for standard output and folders.
        takes: The options of ``Output`` that it has a use for; ``fps`` is never refused.
        largest: The most pixels of a side; None if there is no limit worth naming.
        holds_alpha: Whether what is transparent stays so; of videos, their codec tells.
    """

    what: str
    suffixes: tuple[str, ...]
    takes: tuple[str, ...] = ()
    largest: int | None = None
    holds_alpha: bool = False

    @property
    def holds_rows(self) -> bool:
        """Whether one picture of any size can be written to it, row by row."""
        return any(suffix in ROW_SUFFIXES for suffix in self.suffixes)

    @property
    def is_one_picture(self) -> bool:
        """Whether it never holds anything but one picture of any size."""
        return self in (TIFF, ZARR, DEEP_ZOOM)


_BY_ROWS = ("lossless", "compression", "preview", "resume")
VIDEO = OutputKind(
    "a video",
    (".mp4", ".mov", ".mkv", ".webm"),
    ("codec", "crf", "lossless", "audio", "resume", "metadata"),
)
GIF = OutputKind("an animation", (".gif",), ("codec",), largest=65535)
WEBP = OutputKind("an animation", (".webp",), ("codec", "crf", "lossless"), largest=16383)
PNG = OutputKind("a picture, or several", (".png",), _BY_ROWS, holds_alpha=True)
JPEG = OutputKind("a JPEG picture, or several", (".jpg", ".jpeg"), largest=65535)
NPY = OutputKind("plain bytes", (".npy",), _BY_ROWS, holds_alpha=True)
SAFETENSORS = OutputKind("plain bytes", (".safetensors",), ("lossless",), holds_alpha=True)
TIFF = OutputKind("a picture", (".tif", ".tiff"), ("quality", *_BY_ROWS), holds_alpha=True)
ZARR = OutputKind("a picture", (".ome.zarr", ".zarr"), _BY_ROWS)
DEEP_ZOOM = OutputKind("a picture", (".dzi",), ("quality", *_BY_ROWS))
STREAM = OutputKind("a Matroska stream", (), ("codec", "crf", "lossless", "audio", "metadata"))
FOLDER = OutputKind("a folder of pictures", (), ("lossless",), holds_alpha=True)
WEBP_PICTURES = OutputKind("several pictures", (), ("lossless",), 16383, holds_alpha=True)

KINDS = (VIDEO, GIF, WEBP, PNG, JPEG, NPY, SAFETENSORS, TIFF, ZARR, DEEP_ZOOM)
"""Every kind that a suffix chooses; "-" is a Matroska stream, and a folder gets pictures."""

SUFFIXES = tuple(suffix for kind in KINDS for suffix in kind.suffixes)

ONLY_IN_PYTHON = ("metadata",)
"""Options that the command line does not have."""


def suffixes_that_take(option: str) -> tuple[str, ...]:
    """The suffixes of all kinds that take an option.

    >>> suffixes_that_take("crf")
    ('.mp4', '.mov', '.mkv', '.webm', '.webp')
    """
    return tuple(suffix for kind in KINDS if option in kind.takes for suffix in kind.suffixes)


def compressions() -> dict[str, tuple[str, ...]]:
    """The compressions of each format that is written by rows, by its first suffix; default first.

    >>> compressions()[".ome.zarr"]
    ('zstd', 'none')
    """
    return {each.suffixes[0]: each.compressions for each in FORMATS}
