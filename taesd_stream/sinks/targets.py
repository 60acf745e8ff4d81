"""The targets of a sink, with their names, and the options of those that are files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from taesd_stream.errors import InputError
from taesd_stream.jobs.output import Output
from taesd_stream.sinks.camera_sink import is_camera
from taesd_stream.sinks.file_sink import FileSink
from taesd_stream.sinks.pacing import Pacing
from taesd_stream.sinks.publish_sink import PublishSink
from taesd_stream.sinks.sink import Target, as_sink
from taesd_stream.sinks.target import FrameTarget, PlainTarget, TimedSink, TimedTarget
from video.options import VideoOptions
from video.publishing.addresses import Address, is_address, shown
from video.publishing.publisher import is_publishable

__all__ = ["FileOptions", "open_targets"]


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Options of files and of what is published; each goes to the targets that have a use for it.

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

    @property
    def _of_published(self) -> tuple[str, ...]:
        is_taken = self.codec is None or is_publishable(self.codec)
        return ("codec", "crf") if is_taken else ()

    def published(self, rate: Fraction) -> VideoOptions:
        """Those of what is published, where codec and quality are of H.264."""
        if not self._of_published:
            return VideoOptions(rate, overwrite=self.overwrite)
        return VideoOptions(rate, self.codec, self.crf, overwrite=self.overwrite)

    def check_used(self, outputs: Sequence[Output], *, is_publishing: bool) -> None:
        """Refuse an option that none of the targets has a use for.

        Raises:
            InputError: That.
        """
        published = self._of_published if is_publishing else ()
        for name, value in self._particular.items():
            if name not in published and not any(name in each.kind.takes for each in outputs):
                if outputs:
                    Output(outputs[0].name, **{name: value})  # which says what takes it
                if is_publishing:
                    raise InputError(
                        f"{name}: expected none for what is published, which is H.264 for every"
                        f" player, found {value!r}; leave it out"
                    )
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
        if isinstance(each, str | os.PathLike) and not (is_address(each) or is_camera(each))
    }
    options.check_used(
        tuple(outputs.values()), is_publishing=any(is_address(each) for each in targets)
    )
    return tuple(
        (_name(each), FileSink(outputs[number], pacing))
        if number in outputs
        else (_name(each), _open(each, pacing, options))
        for number, each in enumerate(targets)
    )


def _open(target: Target, pacing: Pacing, options: FileOptions) -> FrameTarget:
    """Open a target that is no file."""
    if is_address(target):
        return PublishSink(Address.of(target), pacing, options.published(pacing.usual_rate))
    sink = as_sink(target, fps=pacing.usual_rate)
    return TimedTarget(sink) if isinstance(sink, TimedSink) else PlainTarget(sink)


def _name(target: Target) -> str:
    if isinstance(target, str | os.PathLike):
        return shown(target)
    return getattr(target, "__qualname__", type(target).__name__)
