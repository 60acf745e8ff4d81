"""The tree of exceptions, and messages as commands make them."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from doc_pages.markdown import escaped
from taesd_stream import errors
from taesd_stream.cli.main import main

__all__ = ["messages", "tree"]

_WRONG_COMMANDS = (
    "decode frames.pt out.mp4 --model teasd",
    "decode latents_of_16_channels.pt out.mp4",
    "decode clips.pt out.mp4",
    "decode missing.pt out.mp4",
    "decode broken.pt out.mp4 --model nano",
    "decode frames.pt out.avi",
    "decode frames.pt there.mp4",
    "decode frames.pt out.mp4 --model nano --codec vp8",
    "decode frames.pt out.npy --model nano --codec h264",
    "decode frames.pt out.mp4 --model nano --frames 7",
)


def tree() -> str:
    """Every exception below the one that it is a kind of, with what else it is."""
    return "\n".join(_branch(errors.TaesdStreamError, 0)) + "\n" + _line(errors.Interrupted, 0)


def messages() -> str:
    """Commands that go wrong, and what each says."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        _prepare()
        told = [f"`taesd-video {words}`\n\n> {_complaint(words)}" for words in _WRONG_COMMANDS]
    return "\n\n".join(told)


def _branch(error: type[BaseException], depth: int) -> Iterator[str]:
    yield _line(error, depth)
    ours = (getattr(errors, name) for name in errors.__all__)
    for child in sorted((each for each in ours if error in each.__bases__), key=_name):
        yield from _branch(child, depth + 1)


def _line(error: type[BaseException], depth: int) -> str:
    """The name, the built-in exceptions that it is too, and the first line of its docstring."""
    known = [base.__name__ for base in error.__bases__ if base.__module__ == "builtins"]
    also = f", also `{known[0]}`" if known and known != ["Exception"] else ""
    summary = (error.__doc__ or "").strip().splitlines()[0]
    return f"{'    ' * depth}- `{_name(error)}`{also}: {summary}"


def _name(error: type[BaseException]) -> str:
    return error.__name__


def _prepare() -> None:
    """Make the files that the commands go wrong with."""
    torch.save(torch.zeros(3, 4, 8, 8), "frames.pt")
    torch.save(torch.zeros(3, 16, 8, 8), "latents_of_16_channels.pt")
    torch.save(torch.zeros(1, 4, 4, 8, 8), "clips.pt")
    torch.save(torch.full((3, 4, 8, 8), torch.nan), "broken.pt")
    Path("there.mp4").touch()


def _complaint(words: str) -> str:
    """The last line on standard error."""
    error = io.StringIO()
    with contextlib.redirect_stderr(error):
        status = main(words.split())
    if status != 2:
        raise AssertionError(f"expected {words!r} to be refused, found exit status {status}")
    return escaped(error.getvalue().splitlines()[-1])
