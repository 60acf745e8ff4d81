"""The protocol of what records operators once and replays them, as CUDA graphs do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

__all__ = ["Recorder"]

T = TypeVar("T")


class Recorder(Protocol):
    """Records what a function asks of a device, and has the device do it again.

    A replay runs no Python: it reads the tensors that the function read, where they lay, and writes
    those that it made, where they lie. All recordings share the memory in between, so one that is
    replayed may overwrite what another one has made.

    Attributes:
        name: What recordings are called, for the reader.
    """

    name: str

    @property
    def held_bytes(self) -> int:
        """The memory that replays compute in, kept until ``let_go``."""

    @property
    def is_free(self) -> bool:
        """Whether the device may record and replay now: nobody else is recording what it does."""

    def tuned(self) -> AbstractContextManager[None]:
        """Inside it, the quickest kernels are sought for every shape that is new."""

    def in_turn(self) -> AbstractContextManager[None]:
        """Inside it, the device does things after those of the turn before, whatever its streams.

        One thread at a time may enter it.
        """

    def record(self, run: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Run a function, in rehearsal, and record it.

        Args:
            run: The function; it reads the same tensors whenever it runs.

        Returns:
            What it makes, whose numbers are those of the last replay, and none before the first;
            and what replays it.

        Raises:
            RuntimeError: The device cannot; out of memory is a kind.
        """

    def let_go(self, forget: Callable[[], None]) -> None:
        """Give the memory back that recordings compute in.

        Args:
            forget: Forgets all of them; called when all that was replayed is done.
        """
