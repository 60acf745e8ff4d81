"""The pages of the command line, from its parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from doc_pages.markdown import code, escaped, table
from taesd_stream.cli.parser import make_parser

__all__ = ["commands"]


def commands() -> str:
    """One section for each command: what it does, its arguments, its options by group."""
    parser = make_parser()
    (subparsers,) = (
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    )
    return "\n\n".join("\n\n".join(_section(*each)) for each in subparsers.choices.items())


def _section(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## {name}"
    yield escaped(parser.description or "")
    words = [_placeholder(each) for each in parser._actions if not each.option_strings]
    has_options = any(map(_is_shown, parser._actions))
    yield f"```text\n{' '.join([parser.prog, *words, *['[options]'] * has_options])}\n```"
    for number, group in enumerate(parser._action_groups):
        rows = [_row(parser, action) for action in group._group_actions if _is_shown(action)]
        if rows:
            if number > 1:
                yield f"**{(group.title or '').capitalize()}**"
            yield table(["argument" if number == 0 else "option", "is"], rows)


def _is_shown(action: argparse.Action) -> bool:
    return action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> tuple[str, str]:
    told = (action.help or "") % {**vars(action), "prog": parser.prog}
    if not action.option_strings:
        return code(str(action.metavar or action.dest)), escaped(told)
    value = f" {_metavar(action)}" if action.nargs != 0 else ""
    return ", ".join(code(f"{name}{value}") for name in action.option_strings), escaped(told)


def _placeholder(action: argparse.Action) -> str:
    return f"[{action.metavar}]" if action.nargs == "?" else str(action.metavar)


def _metavar(action: argparse.Action) -> str:
    return str(action.metavar or action.dest.upper())
