"""The commands: each turns arguments into a call of the library, and its result into words.

Importing this imports torch; the parser does without.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taesd_stream.cli.describe import describe_file, model_rows
from taesd_stream.errors import OutputError
from taesd_stream.jobs.decoding import plan_for, render
from taesd_stream.jobs.encoding import encode_file
from taesd_stream.jobs.results import Encoded, Rendered
from taesd_stream.samples import sample_path
from tiling import TilePlan

__all__ = ["decode", "demo", "encode", "info", "models", "plan"]

_ENGINE = ("tile", "overlap", "memory", "device", "dtype", "backend")
_LATENTS = ("model", "variant", "layout", "key", "frames")
_REDUCED = ("time_upscale", "space_upscale")
_VIEW = ("crop", "wrap")
_FILE = ("fps", "codec", "crf", "lossless", "audio", "overwrite")
_PICTURE = ("compression", "quality", "preview", "resume")


def decode(arguments: Namespace) -> None:
    """Decode latents into a file."""
    done = render(
        arguments.input,
        arguments.output,
        progress=not arguments.json,
        on_plan=_teller(arguments),
        **_pick(
            arguments, *_LATENTS, "calibration", *_REDUCED, *_ENGINE, *_VIEW, *_FILE, *_PICTURE
        ),
    )
    _report(arguments, done)


def encode(arguments: Namespace) -> None:
    """Encode a video or pictures into a file of latents."""
    done = encode_file(
        arguments.input,
        arguments.output,
        progress=not arguments.json,
        on_plan=_teller(arguments),
        **_pick(arguments, "model", "variant", "frames", "overwrite", "wrap", *_ENGINE),
    )
    _report(arguments, done)


def demo(arguments: Namespace) -> None:
    """Decode the sample inside the package into a file."""
    done = render(
        sample_path(),
        arguments.output,
        progress=not arguments.json,
        on_plan=_teller(arguments),
        **_pick(arguments, "model", *_ENGINE, *_FILE),
    )
    _report(arguments, done)


def plan(arguments: Namespace) -> None:
    """Print the plan of what decode would do."""
    made = plan_for(
        arguments.input,
        arguments.output,
        **_pick(arguments, *_LATENTS, *_REDUCED, *_ENGINE, *_VIEW),
    )
    _say(arguments, str(made), made.to_json())


def info(arguments: Namespace) -> None:
    """Describe a file."""
    _say(arguments, *describe_file(Path(arguments.input)))


def models(arguments: Namespace) -> None:
    """Print the table of models."""
    rows = model_rows()
    columns = list(rows[0])
    widths = {c: max(len(c), *(len(str(row[c])) for row in rows)) for c in columns}
    lines = ["  ".join(f"{c:<{widths[c]}}" for c in columns).rstrip()]
    for row in rows:
        lines.append("  ".join(f"{row[c]!s:<{widths[c]}}" for c in columns).rstrip())
    _say(arguments, "\n".join(lines), {"models": rows})


def _pick(arguments: Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in names}


def _teller(arguments: Namespace) -> Callable[[TilePlan], None]:
    def tell(made: TilePlan) -> None:
        if not arguments.json:
            print(made, file=sys.stderr, flush=True)

    return tell


def _report(arguments: Namespace, done: Rendered | Encoded) -> None:
    if not arguments.json:
        for note in done.notes:
            print(f"taesd-video: {note}", file=sys.stderr)
    _say(arguments, str(done), done.to_json(), quiet_stdout=arguments.output == "-")


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
