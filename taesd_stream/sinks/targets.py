"""The targets of a sink, with their names, and the options of those that are files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from taesd_stream.errors import InputError
from taesd_stream.jobs.output import Output
from taesd_stream.sinks.file_sink import FileSink
from taesd_stream.sinks.sink import Sink, Target, as_sink

__all__ = ["FileOptions", "open_targets"]


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Options of files; each goes to those of several targets that have a use for it.

    Attributes:
        fps: Frames per second.
        codec, crf, lossless, overwrite: As of ``render``.
    """

    fps: str | int | float | Fraction = 24
    codec: str | None = None
    crf: int | None = None
    lossless: bool = False
    overwrite: bool = False

    @property
    def _particular(self) -> dict[str, Any]:
        given = {"codec": self.codec, "crf": self.crf, "lossless": self.lossless or None}
        return {name: value for name, value in given.items() if value is not None}

    def output(self, path: str | os.PathLike[str]) -> Output:
        """A file with the options that its kind has a use for."""
        takes = Output(path).kind.takes
        taken = {name: value for name, value in self._particular.items() if name in takes}
        return Output(path, self.fps, overwrite=self.overwrite, **taken)

    def check_used(self, outputs: Sequence[Output]) -> None:
        """Refuse an option that none of the targets has a use for.

        Raises:
            InputError: That.
        """
        for name, value in self._particular.items():
            if not any(name in output.kind.takes for output in outputs):
                if outputs:
                    Output(outputs[0].name, **{name: value})
                raise InputError(f"{name}: expected none without a file, found {value!r}")


def open_targets(
    target: Target | Sequence[Target], options: FileOptions
) -> tuple[tuple[str, Sink], ...]:
    """The sinks of one target or several, each with a name for the reader.

    Raises:
        InputError: One of them is no target, nothing can be written there, or an option makes no
            sense for any.
    """
    targets = tuple(target) if isinstance(target, list | tuple) else (target,)
    if not targets:
        raise InputError("target: expected at least one, found none")
    outputs = [options.output(each) for each in targets if _is_file(each)]
    options.check_used(outputs)
    files: Iterator[Output] = iter(outputs)
    return tuple(
        (_name(each), FileSink(next(files)) if _is_file(each) else as_sink(each))
        for each in targets
    )


def _is_file(target: Target) -> bool:
    return isinstance(target, str | os.PathLike)


def _name(target: Target) -> str:
    if isinstance(target, str | os.PathLike):
        return os.fspath(target)
    return getattr(target, "__qualname__", type(target).__name__)
