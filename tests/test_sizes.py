"""Rooms are small: files, functions, and the number of things that a function is handed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("taesd_stream", "tiling", "video", "tools")

MOST_LINES = 300
MOST_FUNCTION_LINES = 60
MOST_PARAMETERS = 8

# Public functions whose keywords are spelled out and documented, and that carry them on as objects.
SPELLED_OUT = frozenset(
    {
        "taesd_stream/comfyui/nodes.py:execute",
        "taesd_stream/diffusers/rendering.py:render",
        "taesd_stream/diffusers/tiled_vae.py:__init__",
        "taesd_stream/engine/autoencoder.py:plan",
        "taesd_stream/engine/load.py:load",
        "taesd_stream/engine/model_decoding.py:decode",
        "taesd_stream/engine/model_decoding.py:open_picture",
        "taesd_stream/engine/model_decoding.py:open_stream",
        "taesd_stream/engine/model_decoding.py:open_video",
        "taesd_stream/engine/model_decoding.py:stream",
        "taesd_stream/engine/model_encoding.py:encode",
        "taesd_stream/engine/model_encoding.py:encode_stream",
        "taesd_stream/engine/model_encoding.py:open_encode_picture",
        "taesd_stream/engine/model_encoding.py:open_encode_stream",
        "taesd_stream/engine/streams/video_run.py:__init__",
        "taesd_stream/exporting/export.py:export",
        "taesd_stream/jobs/decoding.py:plan_for",
        "taesd_stream/jobs/decoding.py:render",
        "taesd_stream/jobs/encoding.py:encode_file",
        "taesd_stream/live/live_page.py:__init__",
        "taesd_stream/sinks/video_sink.py:__init__",
        "taesd_stream/streamdiffusion/attaching.py:attach",
        "video/large/writing.py:open_rows",
        "video/opening.py:open_writer",
        "video/video_writer.py:__init__",
    }
)


def complaints_about(name: str, source: str) -> Iterator[str]:
    lines = source.count("\n")
    if lines > MOST_LINES:
        yield f"{name} has {lines} lines"
    if "fmt: skip" in source and not name.startswith("tools/"):
        yield f"{name} is aligned by hand"
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if f"{name}:{node.name}" in SPELLED_OUT:
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        arguments = node.args
        taken = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        count = len(taken) - (bool(taken) and taken[0].arg in ("self", "cls"))
        if length > MOST_FUNCTION_LINES:
            yield f"{name}: {node.name} has {length} lines"
        if count > MOST_PARAMETERS:
            yield f"{name}: {node.name} has {count} parameters"


def sources() -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_rooms_are_small() -> None:
    assert [told for name, source in sources() for told in complaints_about(name, source)] == []


def test_the_exceptions_are_there() -> None:
    defined = {
        f"{name}:{node.name}"
        for name, source in sources()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    }
    assert defined >= SPELLED_OUT


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1\n" * 301, "has 301 lines"),
        ("def f():\n" + "    x = 1\n" * 60, "f has 61 lines"),
        ("def f(a, b, c, d, e, *, g, h, i, j): ...\n", "f has 9 parameters"),
        ("x = [1, 2]  # fmt: skip\n", "aligned by hand"),
    ],
)
def test_a_large_room_is_found(source: str, told: str) -> None:
    (complaint,) = complaints_about("video/a.py", source)
    assert told in complaint
