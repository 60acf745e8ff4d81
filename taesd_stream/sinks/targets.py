"""The targets of a sink, with their names, and the options of those that are files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from taesd_stream.errors import InputError
from taesd_stream.jobs.output import Output
from taesd_stream.sinks.file_sink import FileSink
from taesd_stream.sinks.pacing import Pacing
from taesd_stream.sinks.sink import CAMERA, Sink, Target, as_sink
from taesd_stream.sinks.target import FrameTarget, PlainTarget, TimedSink, TimedTarget

__all__ = ["FileOptions", "open_targets"]


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Options of files; each goes to those of several targets that have a use for it.

    Attributes:
        codec, crf, lossless, overwrite: As of ``render``.
    """

    codec: str | None = None
    crf: int | None = None
    lossless: bool = False
    overwrite: bool = False

    @property
    def _particular(self) -> dict[str, Any]:
        given = {"codec": self.codec, "crf": self.crf, "lossless": self.lossless or None}
        return {name: value for name, value in given.items() if value is not None}

    def output(self, path: str | os.PathLike[str], pacing: Pacing) -> Output:
        """A file with the options that its kind has a use for."""
        takes = Output(path).kind.takes
        taken = {name: value for name, value in self._particular.items() if name in takes}
        return Output(path, pacing.usual_rate, overwrite=self.overwrite, **taken)

    def check_used(self, outputs: Sequence[Output]) -> None:
        """Refuse an option that none of the targets has a use for.

        Raises:
            InputError: That.
        """
        for name, value in self._particular.items():
            if not any(name in output.kind.takes for output in outputs):
                if outputs:
                    Output(outputs[0].name, **{name: value})  # which says what takes it
                raise InputError(f"{name}: expected none without a file, found {value!r}")


def open_targets(
    target: Target | Sequence[Target], pacing: Pacing, options: FileOptions
) -> tuple[tuple[str, FrameTarget], ...]:
    """One target or several, each with a name for the reader.

    Raises:
        InputError: One of them is no target, nothing can be written there, or an option makes no
            sense for any.
        MissingExtraError: A library for one of them is not installed.
    """
    targets = tuple(target) if isinstance(target, list | tuple) else (target,)
    if not targets:
        raise InputError("target: expected at least one, found none")
    outputs = {
        number: options.output(each, pacing)
        for number, each in enumerate(targets)
        if isinstance(each, str | os.PathLike) and each != CAMERA
    }
    options.check_used(tuple(outputs.values()))
    return tuple(
        (_name(each), FileSink(outputs[number], pacing))
        if number in outputs
        else (_name(each), _as_target(as_sink(each, fps=pacing.usual_rate)))
        for number, each in enumerate(targets)
    )


def _as_target(sink: Sink) -> FrameTarget:
    return TimedTarget(sink) if isinstance(sink, TimedSink) else PlainTarget(sink)


def _name(target: Target) -> str:
    if isinstance(target, str | os.PathLike):
        return os.fspath(target)
    return getattr(target, "__qualname__", type(target).__name__)
