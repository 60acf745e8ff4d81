"""Write the parts of README and docs that are generated from the code.

    python tools/make_docs.py           # rewrite them
    python tools/make_docs.py --check   # exit status 1 if one is not as the code would have it

A generated part of a page stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from doc_pages import api, command_line, errors, models, outputs, pipeline, scales

__all__ = ["PARTS", "generated_files", "main", "pages"]

ROOT = Path(__file__).resolve().parents[1]

PARTS: Mapping[str, Callable[[], str]] = {
    "models in short": models.in_short,
    "image models": models.for_pictures,
    "video models": models.for_videos,
    "scales": scales.scales,
    "names of models": models.also_known_as,
    "outputs": outputs.options_of_outputs,
    "codecs": outputs.codecs,
    "compressions": outputs.compressions,
    "command line": command_line.commands,
    "errors": errors.tree,
    "messages": errors.messages,
}
"""What each generated part holds, by its name in the markers."""

_PART = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    """Write what has changed; with --check only say what."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, complain instead")
    check = parser.parse_args().check
    stale = list(stale_files())
    for path, text in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{'not current' if check else 'written'}: {path.relative_to(ROOT)}", file=sys.stderr)
    return int(check and bool(stale))


def stale_files() -> Iterator[tuple[Path, str]]:
    """Each file that is not as the code would have it, and what it should hold."""
    for path, text in generated_files():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            yield path, text


def generated_files() -> Iterator[tuple[Path, str]]:
    """Every file that is generated, wholly or in part, and what it should hold."""
    for path in pages():
        text = path.read_text(encoding="utf-8")
        yield path, _PART.sub(_filled, text)
    for name, text in api.reference_pages():
        yield ROOT / "docs" / "api" / f"{name}.md", text
    yield ROOT / "docs" / "pipeline.svg", pipeline.picture()


def pages() -> list[Path]:
    """The pages that people write."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _filled(found: re.Match[str]) -> str:
    """A part with its markers, made anew."""
    return f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}"


if __name__ == "__main__":
    sys.exit(main())
