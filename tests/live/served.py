"""A page in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.live.asking import LONG_SECONDS

__all__ = ["Served", "serve"]


@dataclass(frozen=True)
class Served:
    """A page in a process of its own.

    Attributes:
        process: That.
        told: What it said of itself.
        stderr: The file of its standard error.
    """

    process: subprocess.Popen[str]
    told: dict[str, Any]
    stderr: Path

    @property
    def port(self) -> int:
        """On which it listens."""
        return int(self.told["port"])

    @property
    def complaints(self) -> str:
        """What it wrote on standard error."""
        return self.stderr.read_text()

    @property
    def resident(self) -> int:
        """Bytes of memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def threads(self) -> int:
        """How many it has."""
        return int(psutil.Process(self.process.pid).num_threads())

    @property
    def files(self) -> int:
        """How many it has open, sockets too."""
        return int(psutil.Process(self.process.pid).num_fds())

    def interrupt(self) -> int:
        """Ctrl-C; returns its exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(LONG_SECONDS)


@contextmanager
def serve(folder: Path, *words: str) -> Iterator[Served]:
    """`taesd-video serve` until the end of the block."""
    command = [sys.executable, "-m", "taesd_stream", "serve", *words]
    command += ["--port", "0", "--json", "--recordings", str(folder)]
    with (folder / "stderr.txt").open("w") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said, (folder / "stderr.txt").read_text()
        yield Served(process, json.loads(said), folder / "stderr.txt")
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
