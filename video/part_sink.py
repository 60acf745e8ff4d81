"""Sinks whose output gets its final name only when it is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from video.errors import OutputError, OutputExistsError
from video.safe_files.part_file import explain_os_error
from video.sink import FrameSink

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from video.safe_files.part_file import UnfinishedOutput

__all__ = ["PartSink"]


class PartSink(FrameSink):
    """A sink whose output lies under a part's name until it is complete; a child reserves that."""

    def __init__(self, path: str | PathLike[str], *, overwrite: bool) -> None:
        super().__init__(path)
        self._overwrite = overwrite
        self._part: UnfinishedOutput | None = None

    @property
    def part_path(self) -> Path | None:
        """Where the unfinished output is; None for a stream, and once there is no such thing."""
        return self._part.path if self._part else None

    def _publish(self, what: str, holding: str) -> None:
        """Give the finished output, which errors call ``what``, its name; else keep the part."""
        if self._part is None:
            return
        try:
            self._part.publish(overwrite=self._overwrite)
        except OutputExistsError:
            self._keep(holding)
            raise
        except OutputError:
            self._part = None  # it is in its place; something else went wrong
            raise
        except OSError as error:
            self._keep(holding)
            failure = explain_os_error(self.path, error)
            raise OutputError(f"{failure}; the {what} is '{self.kept_part}'") from error
        self._part = None

    def _keep(self, holding: str) -> None:
        """Leave the part where it is, and say so."""
        self.kept_part = self.part_path
        if self.kept_part is not None:
            self._notes.append(f"kept: '{self.kept_part}' ({holding})")

    def _discard(self) -> None:
        """Remove the unfinished output."""
        if self._part is not None:
            self._part.discard()
            self._part = None
