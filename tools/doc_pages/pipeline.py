"""The picture of how a latent becomes a pixel: five files, and what each of them makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

__all__ = ["STEPS", "Step", "picture"]

_PACKAGE = Path(__file__).resolve().parents[2] / "taesd_stream"

_WIDTH, _ROW = 760, 118
_LATENT, _PIXEL, _INK, _PALE = "#8a63d2", "#2f9e77", "#30343b", "#d9dce1"


@dataclass(frozen=True)
class Step:
    """One station on the way.

    Attributes:
        file: Where its code is, in ``taesd_stream``.
        lines: What happens there.
        drawing: Draws what is there then, in a square of 80 pixels.
    """

    file: str
    lines: tuple[str, ...]
    drawing: Callable[[], Iterator[str]]


def picture() -> str:
    """The whole picture as SVG.

    Raises:
        FileNotFoundError: A step names a file that is gone.
    """
    height = _ROW * len(STEPS) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="15">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
    ]
    for number, step in enumerate(STEPS):
        if not (_PACKAGE / step.file).is_file():
            raise FileNotFoundError(f"pipeline: taesd_stream/{step.file} is gone; name another")
        parts += _drawn(number, step)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _drawn(number: int, step: Step) -> Iterator[str]:
    top = 12 + number * _ROW
    yield f'<g transform="translate(24 {top + 7})">'
    yield from step.drawing()
    yield "</g>"
    yield f'<rect x="150" y="{top}" width="586" height="94" rx="8" fill="#f5f6f8"/>'
    yield (
        f'<text x="168" y="{top + 27}" font-family="monospace" font-weight="bold"'
        f' fill="{_INK}">{escape(step.file)}</text>'
    )
    for line, text in enumerate(step.lines):
        yield f'<text x="168" y="{top + 52 + 22 * line}" fill="{_INK}">{escape(text)}</text>'
    if number + 1 < len(STEPS):
        yield (
            f'<path d="M443 {top + 95}v14m-5 -6l5 7l5 -7" fill="none" stroke="{_INK}"'
            ' stroke-width="2"/>'
        )


def _box(x: float, y: float, width: float, height: float, fill: str) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}"'
        ' stroke="white" stroke-width="1"/>'
    )


def _latents() -> Iterator[str]:
    """Several planes of latents, one behind the other."""
    for shift in (18, 9, 0):
        for row in range(4):
            for column in range(4):
                yield _box(shift + 15 * column, 18 - shift + 15 * row, 15, 15, _LATENT)


def _cut() -> Iterator[str]:
    """A plane of latents, cut into tiles."""
    for row in range(2):
        for column in range(3):
            yield _box(27 * column, 40 * row, 26, 39, _LATENT if (row, column) == (0, 1) else _PALE)


def _shrinking() -> Iterator[str]:
    """A tile and its halo, layer by layer: the halo shrinks as the scale grows."""
    for number, (halo, fill) in enumerate(((26, _LATENT), (16, _LATENT), (8, _PIXEL), (0, _PIXEL))):
        y = 20 * number
        yield _box(26 - halo, y, 28 + 2 * halo, 17, _PALE)
        yield _box(26, y, 28, 17, fill)


def _band() -> Iterator[str]:
    """A picture, whose upper tiles are finished."""
    for row in range(2):
        for column in range(3):
            yield _box(27 * column, 40 * row, 26, 39, _PIXEL if row == 0 else _PALE)


def _file() -> Iterator[str]:
    """A file of frames."""
    yield f'<path d="M14 0h38l16 16v64h-54z" fill="{_PIXEL}"/>'
    yield '<path d="M52 0v16h16" fill="none" stroke="white" stroke-width="2"/>'
    yield '<path d="M32 32l20 14l-20 14z" fill="white"/>'


STEPS = (
    Step(
        "jobs/decoding.py",
        (
            "render checks the output, opens the latents, and loads the",
            "model that fits them.",
        ),
        _latents,
    ),
    Step(
        "engine/planning/planner.py",
        (
            "Every way to cut the plane into tiles has its memory and its",
            "arithmetic: the quickest within the budget is the plan.",
        ),
        _cut,
    ),
    Step(
        "engine/running/executor.py",
        (
            "Carries out the plan. Each layer reads only what the next",
            "one needs, so a tile's halo shrinks on its way.",
        ),
        _shrinking,
    ),
    Step(
        "engine/streams/video_run.py",
        (
            "Puts tiles together: frames, one by one, as soon as they are",
            "known (picture_run.py beside it: bands of a large picture).",
        ),
        _band,
    ),
    Step(
        "jobs/delivery/device_to_sink.py",
        (
            "Brings frames from the device into the file, while the next",
            "ones are computed; the file appears when it is complete.",
        ),
        _file,
    ),
)
"""From the latents to the file."""
