"""The commands: each turns arguments into a call of the library, and its result into words.

Importing this imports torch; the parser does without.
"""

from __future__ import annotations

import json
import sys
import textwrap
from argparse import Namespace
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from taesd_stream.cli.describe import describe_file, model_rows
from taesd_stream.cli.serving import serve_page
from taesd_stream.comfyui.installing import install
from taesd_stream.errors import OutputError
from taesd_stream.exporting.export import export as export_model
from taesd_stream.jobs.decoding import plan_for, render
from taesd_stream.jobs.encoding import encode_file
from taesd_stream.jobs.results import Encoded, Rendered
from taesd_stream.remote.addresses import is_address
from taesd_stream.samples import sample_path
from tiling import TilePlan

__all__ = ["comfyui", "decode", "demo", "encode", "export", "info", "models", "plan", "serve"]

_NO_KEYWORDS = ("command", "input", "output", "json", "verbose")
"""Arguments that are not passed on as keywords: those of the command line, and positional ones."""

_LINE = 98
"""Columns of a line of words."""


def decode(arguments: Namespace) -> None:
    """Decode latents into a file."""
    _make(render, arguments.input, arguments)


def encode(arguments: Namespace) -> None:
    """Encode a video or pictures into a file of latents."""
    _make(encode_file, arguments.input, arguments)


def demo(arguments: Namespace) -> None:
    """Decode the sample inside the package into a file."""
    _make(render, sample_path(), arguments)


def plan(arguments: Namespace) -> None:
    """Print the plan of what decode would do."""
    made = plan_for(arguments.input, arguments.output, **_keywords(arguments))
    _say(arguments, str(made), made.to_json())


def info(arguments: Namespace) -> None:
    """Describe a file."""
    given = arguments.input
    _say(arguments, *describe_file(given if is_address(given) else Path(given)))


def models(arguments: Namespace) -> None:
    """Print the table of models."""
    rows = model_rows()
    columns = [name for name in rows[0] if name != "also"]
    table = [columns, *([str(row[name]) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in table]
    lines += ["", "Names that lead to them, as their latents are the same:"]
    for row in rows:
        if row["also"]:
            names = f"{row['model']}: {', '.join(row['also'])}"
            lines += textwrap.wrap(names, _LINE, subsequent_indent="    ", break_on_hyphens=False)
    _say(arguments, "\n".join(lines), {"models": rows})


def comfyui(arguments: Namespace) -> None:
    """Put the nodes into a ComfyUI."""
    done = install(arguments.path, overwrite=arguments.overwrite)
    _say(arguments, str(done), done.to_json())


def export(arguments: Namespace) -> None:
    """Write a half of a model as an ONNX file."""
    options = _keywords(arguments)
    done = export_model(options.pop("model"), arguments.output, **options)
    _say(arguments, str(done), done.to_json())


def serve(arguments: Namespace) -> None:
    """Serve a page that shows a decode while it runs."""
    serve_page(arguments)


def _make(job: Callable[..., Rendered | Encoded], source: str | Path, arguments: Namespace) -> None:
    """Make a file, and print the plan, the remarks and the result."""

    def tell(made: TilePlan) -> None:
        if not arguments.json:
            print(made, file=sys.stderr, flush=True)

    shown = not arguments.json
    keywords = _keywords(arguments)
    # Ray tells on standard output of workers that have died.
    said = nullcontext() if keywords.get("cluster") is None else redirect_stdout(sys.stderr)
    with said:
        done = job(source, arguments.output, progress=shown, on_plan=tell, **keywords)
    if not arguments.json:
        for note in done.notes:
            print(f"taesd-video: {note}", file=sys.stderr)
    _say(arguments, str(done), done.to_json(), quiet_stdout=arguments.output == "-")


def _keywords(arguments: Namespace) -> dict[str, Any]:
    """The options of a command: each is called as the library's keyword is."""
    return {name: value for name, value in vars(arguments).items() if name not in _NO_KEYWORDS}


def _say(
    arguments: Namespace, words: str, values: dict[str, Any], *, quiet_stdout: bool = False
) -> None:
    """One JSON object or the same in words; on standard error where standard output is data."""
    text = json.dumps(values) if arguments.json else words
    try:
        print(text, file=sys.stderr if quiet_stdout else sys.stdout, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to standard output: {error.strerror}") from error
