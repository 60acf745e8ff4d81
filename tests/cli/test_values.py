from __future__ import annotations

import argparse
import re
from collections.abc import Callable

import pytest

from taesd_stream.cli import values


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10:20", slice(10, 20)),
        ("10:", slice(10, None)),
        (":20", slice(0, 20)),
        ("0", slice(0, 1)),
        ("5", slice(5, 6)),
        ("5:6", slice(5, 6)),
    ],
)
def test_frames(text: str, meant: slice) -> None:
    assert values.frames(text) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [("auto", "auto"), ("none", None), ("64", 64), ("32x48", (48, 32))],
)
def test_tile_is_width_by_height_and_becomes_height_and_width(text: str, meant: object) -> None:
    assert values.tile(text) == meant


@pytest.mark.parametrize(("text", "meant"), [("exact", "exact"), ("0", 0), ("8", 8)])
def test_overlap(text: str, meant: object) -> None:
    assert values.overlap(text) == meant


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((values.frames, text) for text in ("", ":", "5:5", "5:2", "-1:", "1:2:3", "a", "1.5")),
        *((values.tile, text) for text in ("", "0", "-3", "0x8", "8x0", "8x", "8x8x8", "full")),
        *((values.overlap, text) for text in ("", "-1", "1.5", "most", "²")),
        *((values.fps, text) for text in ("", "0", "-24", "nan", "inf", "24/0", "fast", "1001")),
    ],
)
def test_what_makes_no_sense_is_quoted(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"expected .*{re.escape(repr(text))}"):
        parse(text)
