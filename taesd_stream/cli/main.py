"""Where a command begins and ends: arguments in, an exit status out."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from taesd_stream.cli.parser import make_parser
from taesd_stream.errors import InputError, Interrupted

__all__ = ["main"]

DEBUG_VARIABLE = "TAESD_STREAM_DEBUG"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done; 2 the input or the arguments are wrong; 1 anything else; 130 interrupted. What went
        wrong is one line on standard error; the variable TAESD_STREAM_DEBUG adds the traceback.
    """
    parsed = make_parser().parse_args(arguments)
    logging.basicConfig(format="taesd-video: %(message)s", level=logging.WARNING)
    if not parsed.json:
        logging.getLogger("taesd_stream").setLevel(logging.INFO)
    try:
        parsed.run(parsed)
        sys.stdout.flush()
    except Interrupted as error:
        return _complain(str(error), 130)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except InputError as error:
        return _complain(str(error), 2)
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _complain(_one_line(error), 1)
    return 0


def _complain(message: str, status: int) -> int:
    if os.environ.get(DEBUG_VARIABLE):
        logging.getLogger("taesd_stream").exception("details")
    print(f"taesd-video: {' '.join(message.split())}", file=sys.stderr)
    return status


def _one_line(error: Exception) -> str:
    """The message of our own errors, and of others their kind as well."""
    if type(error).__module__.startswith("taesd_stream"):
        return str(error)
    return f"unexpected {type(error).__name__}: {error} (set {DEBUG_VARIABLE}=1 to see where)"
