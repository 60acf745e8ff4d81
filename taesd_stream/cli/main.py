"""The entry point of the command: arguments in, an exit status out."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence

from taesd_stream.cli.signals import ends_as_interrupts, ends_at_once
from taesd_stream.errors import InputError, TaesdStreamError

__all__ = ["main", "modules_kept"]

DEBUG_VARIABLE = "TAESD_STREAM_DEBUG"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: As typed after the command's name; None is those of this process, which then has
            nothing else to do.

    Returns:
        0 done; 2 the input or the arguments are wrong; 1 anything else; 130 interrupted, 143 ended
        by SIGTERM, 129 by SIGHUP. What went wrong is one line on standard error, after its details
        with --verbose; the variable TAESD_STREAM_DEBUG adds the traceback.
    """
    ended_by: list[int] = []
    try:
        is_only_work = arguments is None
        with ends_at_once(), modules_kept() if is_only_work else contextlib.nullcontext():
            work = _prepare(arguments)
        with ends_as_interrupts(ended_by):
            work()
    except KeyboardInterrupt as error:
        return _complain(error, 128 + (ended_by[0] if ended_by else signal.SIGINT))
    except BrokenPipeError as error:
        # Whoever read our words has gone and needs none; an unfinished output is another thing.
        return _complain(error, 1) if isinstance(error, TaesdStreamError) else _drop_stdout(1)
    except InputError as error:
        return _complain(error, 2)
    except Exception as error:
        return _complain(error, 1)
    return 0


def _prepare(arguments: Sequence[str] | None) -> Callable[[], None]:
    """Read the arguments and load what their command needs; the command, ready to be called."""
    from taesd_stream.cli.parser import make_parser

    parsed = make_parser().parse_args(arguments)
    from taesd_stream.cli import commands

    command: Callable[[Namespace], None] = getattr(commands, parsed.command)

    level = logging.WARNING if parsed.json else logging.INFO

    def work() -> None:
        with _log_shown(logging.DEBUG if parsed.verbose else level):
            try:
                command(parsed)
            except TaesdStreamError as error:
                if parsed.verbose:
                    print(*(f"  {line}" for line in error.details), sep="\n", file=sys.stderr)
                raise

    return work


@contextlib.contextmanager
def modules_kept() -> Iterator[None]:
    """Inside it, nothing is collected; what is loaded in it, no collection looks at any more.

    PyTorch's modules are 290,000 objects, none of which is garbage: looking at all of them took 0.1
    seconds each time, three times before a first frame.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def _log_shown(level: int) -> Iterator[None]:
    """Inside it, what the package logs is a line on standard error."""
    log = logging.getLogger("taesd_stream")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("taesd-video: %(message)s"))
    level_before = log.level
    log.addHandler(handler)
    log.setLevel(level)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level_before)


def _complain(error: BaseException, status: int) -> int:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    print(f"taesd-video: {' '.join(_words(error).split())}", file=sys.stderr)
    return _drop_stdout(status)


def _words(error: BaseException) -> str:
    """The message of our own errors, and of others their kind as well."""
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "interrupted"
    if isinstance(error, TaesdStreamError):
        notes = getattr(error, "__notes__", ())
        return "; ".join([str(error), *(note for note in notes if note not in error.details)])
    return f"unexpected {type(error).__name__}: {error} (set {DEBUG_VARIABLE}=1 to see where)"


def _drop_stdout(status: int) -> int:
    """Flush, and drop what cannot be written: else Python would complain of it when it exits."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return status
