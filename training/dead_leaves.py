"""Dead leaves: pictures of shapes that lie on one another, with the statistics of photographs.

Source: Lee, Mumford and Huang, "Occlusion models for natural images" (IJCV 2001). Radii follow a
power law, so there is as much to see at every scale.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["dead_leaves"]

_SUBPIXEL_BITS = 4


def dead_leaves(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A square picture, uint8 (size, size, 3).

    Leaves are ellipses, boxes, polygons and strokes; some are shaded, and some have a grain.

    >>> dead_leaves(64, np.random.default_rng(0)).shape
    (64, 64, 3)
    """
    picture: NDArray[np.uint8] = np.empty((size, size, 3), np.uint8)
    picture[:] = _colour(rng)
    smallest, largest = rng.uniform(1.5, 5), size * rng.uniform(0.2, 0.5)
    radii = _radii(int(rng.integers(150, 700)), smallest, largest, rng)
    tone = rng.uniform(0, 255, 3)
    variety = rng.uniform(0.2, 1)
    for radius in radii:
        colour = tone + (_colour(rng) - tone) * variety
        _draw(picture, float(radius), colour, rng)
    if rng.random() < 0.5:
        picture = _shaded(picture, rng)
    if rng.random() < 0.3:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.2)), np.uint8)
    return picture


def _radii(
    count: int, smallest: float, largest: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Distributed as radius to the power of -3 between two bounds."""
    share = rng.random(count)
    bounds = smallest**-2.0, largest**-2.0
    return (bounds[0] + share * (bounds[1] - bounds[0])) ** -0.5  # type: ignore[no-any-return]


def _colour(rng: np.random.Generator) -> NDArray[np.float64]:
    grey = rng.uniform(0, 255)
    return np.clip(grey + rng.normal(0, 50, 3) * rng.random(), 0, 255)


def _draw(
    picture: NDArray[np.uint8], radius: float, colour: NDArray[np.float64], rng: np.random.Generator
) -> None:
    kind = rng.random()
    centre = rng.uniform(-0.1, 1.1, 2) * picture.shape[0]
    bgr = tuple(float(each) for each in colour)
    if kind < 0.08:
        ends = _fixed(np.stack([centre, centre + rng.normal(0, 3 * radius, 2)]))
        width = max(1, int(radius * rng.uniform(0.05, 0.4)))
        cv2.line(picture, ends[0], ends[1], bgr, width, cv2.LINE_AA, _SUBPIXEL_BITS)
        return
    if kind < 0.4:
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        outline = np.stack([np.cos(angles), np.sin(angles) * rng.uniform(0.4, 1)], 1)
    elif kind < 0.7:
        outline = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (1, rng.uniform(0.1, 1))
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        outline = np.stack([np.cos(angles), np.sin(angles)], 1)
    turn = rng.uniform(0, np.pi)
    rotation = np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
    points = _fixed(centre + radius * outline @ rotation)
    cv2.fillPoly(picture, [points], bgr, cv2.LINE_AA, _SUBPIXEL_BITS)
    if radius > 12 and rng.random() < 0.35:
        _grain(picture, points, rng)


def _grain(picture: NDArray[np.uint8], points: NDArray[np.int32], rng: np.random.Generator) -> None:
    """A texture over one leaf, and a slope of light."""
    x, y, width, height = cv2.boundingRect(points >> _SUBPIXEL_BITS)
    left, top = max(0, x), max(0, y)
    part = picture[top : max(0, y + height), left : max(0, x + width)]
    if part.size == 0:
        return
    mask = np.zeros(part.shape[:2], np.uint8)
    moved = points - (np.array([left, top], np.int32) << _SUBPIXEL_BITS)
    cv2.fillPoly(mask, [moved], 255, cv2.LINE_8, _SUBPIXEL_BITS)
    noise = rng.normal(0, 1, (*part.shape[:2], 1 if rng.random() < 0.7 else 3)).astype(np.float32)
    across, along = rng.uniform(0.4, 4, 2)
    grain = np.asarray(cv2.GaussianBlur(noise, (0, 0), sigmaX=across, sigmaY=along), np.float32)
    grain = grain.reshape(*noise.shape)
    grain *= rng.uniform(5, 40) / max(1e-3, float(grain.std()))
    slope = np.linspace(-1, 1, part.shape[1], dtype=np.float32)[None, :, None]
    changed = part + grain + slope * rng.normal(0, 20)
    part[mask > 0] = np.clip(changed, 0, 255).astype(np.uint8)[mask > 0]


def _shaded(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light that falls off across the picture."""
    corners = rng.uniform(0.4, 1.3, (2, 2, 1)).astype(np.float32)
    light = np.asarray(cv2.resize(corners, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR))
    return np.asarray(np.clip(picture * light[..., None], 0, 255), np.uint8)


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Coordinates as OpenCV takes parts of pixels."""
    return np.round(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)
