"""The figures of a step from noise to a picture, as the Consistency Decoder takes it.

Source: github.com/huggingface/diffusers, scheduling_consistency_decoder.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["ConsistencyStep"]

_DATA_DEVIATION = 0.5


@dataclass(frozen=True, slots=True)
class ConsistencyStep:
    """The figures of a step.

    Attributes:
        signal: The share of the picture in what is there.
        noise: The share of noise.
        reads: The factor of what is there, as the UNet reads it.
        makes: The factor of what it makes, in the picture that it predicts.
        keeps: The factor of what is there, in the same.
    """

    signal: float
    noise: float
    reads: float
    makes: float
    keeps: float

    @classmethod
    def at(cls, time: int, times: int) -> ConsistencyStep:
        """The step at a time, of so many."""
        square = _signal_square((time + 1) / times) / _signal_square(0)
        sigma = math.sqrt(1 / square - 1)
        whole = sigma**2 + _DATA_DEVIATION**2
        return cls(
            signal=math.sqrt(square),
            noise=math.sqrt(1 - square),
            reads=1 / math.sqrt(square * whole),
            makes=sigma * _DATA_DEVIATION / math.sqrt(whole),
            keeps=_DATA_DEVIATION**2 / whole / math.sqrt(square),
        )


def _signal_square(time: float) -> float:
    return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
