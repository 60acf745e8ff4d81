"""The difference of one picture from another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Accuracy", "compare"]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Against the undivided float32 decode, both clamped to [0, 1].

    Attributes:
        max_error: The largest difference of a value.
        psnr_db: Peak signal to noise; None where nothing differs.
    """

    max_error: float
    psnr_db: float | None


def compare(picture: NDArray[np.float32], truth: NDArray[np.float32]) -> Accuracy:
    """The accuracy of (3, H, W) values in [0, 1], worked out row by row to stay small."""
    if picture.shape != truth.shape:
        raise ValueError(f"expected a picture of shape {truth.shape}, found {picture.shape}")
    largest, squares = 0.0, 0.0
    for row in range(truth.shape[1]):
        difference = picture[:, row].astype(np.float64) - truth[:, row]
        largest = max(largest, float(np.abs(difference).max()))
        squares += float((difference**2).sum())
    psnr = -10 * math.log10(squares / truth.size) if squares else None
    return Accuracy(largest, psnr)
