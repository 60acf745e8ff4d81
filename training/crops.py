"""Crops to learn from: which part of which picture, how large, and how it is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.dead_leaves import dead_leaves
from training.sources import PACKAGES, is_held_out

__all__ = ["Crops", "load_picture"]

_LEAVES = 300
_LEAF_SIZE = 320
_LEAVES_SHARE = 0.12
# Source pixels per pixel of a crop: the pictures of most use are made smaller, and so sharp.
_SHRINK = (0.7, 3.5)
_FLAT = 10.0
_KEPT_FLAT = 0.3
_ENLARGING = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
_SHRINKING = (cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


def load_picture(path: Path) -> NDArray[np.uint8]:
    """A picture as uint8 RGB (h, w, 3).

    Raises:
        ValueError: It is none.
    """
    read = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if read is None:
        raise ValueError(f"{path}: expected a picture, found none that OpenCV can read")
    return np.ascontiguousarray(read[..., ::-1])


@dataclass(frozen=True, eq=False)
class Crops:
    """Crops of pictures, taken at random.

    A crop depends on the seed and its number alone, so a run that goes on sees what it would have.

    Attributes:
        pictures: uint8 (h, w, 3) each.
        chances: How likely each is to be taken.
        size: Side of a crop in pixels.
        seed: Another one makes other crops.
    """

    pictures: Sequence[NDArray[np.uint8]]
    chances: NDArray[np.float64]
    size: int
    seed: int

    @classmethod
    def open(cls, folder: Path, size: int, seed: int, *, leaves: int = _LEAVES) -> Crops:
        """Crops of the pictures of a folder that are not held out, and of dead leaves.

        Args:
            leaves: How many pictures of dead leaves.

        Raises:
            ValueError: There are no pictures.
        """
        paths = [path for path in sorted(folder.glob("*.png")) if not is_held_out(path)]
        if not paths:
            raise ValueError(
                f"{folder}: expected pictures, found none; `python -m training pictures` gets them"
            )
        weights = {package.name: package.weight for package in PACKAGES}
        chances = np.array([weights[path.name.partition("__")[0]] for path in paths])
        drawn = [dead_leaves(_LEAF_SIZE, np.random.default_rng([seed, n])) for n in range(leaves)]
        chances = np.concatenate(
            [
                chances / chances.sum() * (1 - _LEAVES_SHARE),
                np.full(leaves, _LEAVES_SHARE / leaves),
            ]
        )
        return cls([*map(load_picture, paths), *drawn], chances, size, seed)

    def batch(self, step: int, count: int) -> NDArray[np.float32]:
        """Crops number ``step * count`` and on: float32 (count, 3, size, size) in [0, 1]."""
        rngs = (np.random.default_rng([self.seed, step * count + n]) for n in range(count))
        return np.stack([self._crop(rng).transpose(2, 0, 1) for rng in rngs])

    def _crop(self, rng: np.random.Generator) -> NDArray[np.float32]:
        while True:
            picture = self.pictures[rng.choice(len(self.pictures), p=self.chances)]
            crop = _cut(picture, self.size, rng)
            if crop.std() > _FLAT or rng.random() < _KEPT_FLAT:
                return _changed(_turned(crop, rng), rng)


def _cut(picture: NDArray[np.uint8], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    most = min(picture.shape[:2]) / size
    low, high = min(_SHRINK[0], most), min(_SHRINK[1], most)
    shrink = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    side = min(round(size * shrink), *picture.shape[:2])
    y, x = (int(rng.integers(0, length - side + 1)) for length in picture.shape[:2])
    part = picture[y : y + side, x : x + side]
    ways = _SHRINKING if side > size else _ENLARGING
    return cv2.resize(part, (size, size), interpolation=ways[rng.integers(len(ways))])  # type: ignore[return-value]


def _turned(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Flips and quarter turns; upright most of the time, as pictures are."""
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    if rng.random() < 0.4:
        crop = np.rot90(crop, int(rng.integers(1, 4)))
    return crop


def _changed(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Brightness, contrast, colour, and a little noise."""
    changed = crop.astype(np.float32) / 255
    if rng.random() < 0.5:
        changed **= np.float32(np.exp(rng.normal(0, 0.2)))
        middle = np.float32(rng.uniform(0.3, 0.7))
        changed = (changed - middle) * np.float32(rng.uniform(0.7, 1.25)) + middle
        changed += np.float32(rng.normal(0, 0.06))
    if rng.random() < 0.4:
        grey = changed.mean(axis=2, keepdims=True)
        changed = grey + (changed - grey) * np.float32(rng.uniform(0.0, 1.6))
        changed *= rng.uniform(0.85, 1.15, 3).astype(np.float32)
    if rng.random() < 0.15:
        changed = changed[..., rng.permutation(3)]
    if rng.random() < 0.1:
        changed = changed + rng.normal(0, 0.02, changed.shape).astype(np.float32)
    return np.asarray(np.clip(changed, 0, 1), np.float32)
