"""The interface of all contenders, as seen by whoever takes their time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Decoder", "dtype_of"]


@dataclass(frozen=True)
class Decoder:
    """A function from latents to pictures.

    Attributes:
        decode: The timed part: (N, 4, h, w) float32 to (N, 3, H, W) as the contender gives it.
        detail: What it is going to do, for the record.
        black: The value of black in what it gives; white is 1.
    """

    decode: Callable[[Tensor], Tensor]
    detail: str = ""
    black: float = 0.0

    def pictures(self, made: Tensor) -> Tensor:
        """The output of ``decode`` as float32 in [0, 1] on the CPU; not timed."""
        values = made.to("cpu", torch.float32)
        return ((values - self.black) / (1 - self.black)).clamp(0, 1)


def dtype_of(precision: str) -> torch.dtype:
    """The torch dtype of that name."""
    return {
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
        "float16": torch.float16,
    }[precision]
