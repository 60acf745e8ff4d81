"""Work that is ready to be timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["Arguments", "Kind", "Task", "tensor_bytes"]

Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """Something to do turn by turn.

    Attributes:
        run: One turn: the timed part.
        detail: What it does, for the record.
        output_bytes: Of what ``run`` returned, 0 if that lies outside the memory that counts.
        pictures: What ``run`` returned as (3, H, W) float32 in [0, 1]; None where there is nothing
            to compare.
        values: More about what ``run`` returned, by names with units.
        on_gpu: Whether the memory that counts is the GPU's.
    """

    run: Callable[[], Any]
    detail: str = ""
    output_bytes: Callable[[Any], int] = lambda made: 0
    pictures: Callable[[Any], Tensor] | None = None
    values: Callable[[Any], dict[str, float]] | None = None
    on_gpu: bool = False


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    Attributes:
        preload: Imports what it needs, before memory is measured.
        open: Sets it up for so many threads.
    """

    preload: Callable[[Arguments], None]
    open: Callable[[Arguments, int], Task]


def tensor_bytes(made: Tensor) -> int:
    """The size of a tensor's values."""
    return made.numel() * made.element_size()
