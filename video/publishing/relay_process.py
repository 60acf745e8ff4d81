"""The process that carries packets, as it is seen by who has them carried."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from video.publishing.relay import HEADER, RelayJob

if TYPE_CHECKING:
    import av

__all__ = ["RelayProcess"]


class RelayProcess:
    """Has packets carried, one by one; used by one thread, but for ``kill``.

    Args:
        job: What is carried, and where to.

    Attributes:
        is_closed: Whether it was told that no more packets come.
    """

    def __init__(self, job: RelayJob) -> None:
        self._patience = job.patience
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        flags = 0
        if sys.platform == "win32":
            flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        self._process = subprocess.Popen(
            [sys.executable, "-m", "video.publishing.relay"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            creationflags=flags,
            start_new_session=True,  # Ctrl-C is for the program, which then ends this
        )
        self.is_closed = False
        self._ended = ""
        with suppress(OSError):
            self._put(job.line())

    def carry(self, packet: av.Packet[Any], duration: int) -> str:
        """Have a packet carried; returns why it was not, or nothing."""
        data = bytes(packet)
        header = HEADER.pack(packet.pts or 0, duration, packet.is_keyframe, len(data))
        with suppress(OSError):  # the process has said why it ended, or had no time to
            self._put(header + data)
        return self._answer()

    def finish(self) -> str:
        """Say that this was all, and wait for the end; returns ``DONE``, or why it is not."""
        self.is_closed = True
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):
            process.stdin.close()
        answer = self._answer()
        process.stdout.close()
        process.wait()
        return answer

    def kill(self) -> None:
        """End it at once."""
        self._ended = "it was given up"
        self._process.kill()

    def _put(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _answer(self) -> str:
        """The next answer; nothing where all is well."""
        assert self._process.stdout is not None
        line = "" if self._ended else self._process.stdout.readline().decode(errors="replace")
        if line == "\n":
            return ""
        self._ended = self._ended or line.strip() or f"no answer within {self._patience:g} s"
        return self._ended
