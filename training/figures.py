"""Figures of how near a decoder's pictures come to those that were encoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.crops import load_picture
from training.sources import is_held_out

__all__ = ["Coder", "Example", "Score", "fidelity", "held_out", "samples", "score"]

# Photographs among scikit-image's samples that come with it; never trained on.
_SAMPLES = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "rocket.jpg",
)
_SIDE = 512

Coder = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(1, 4, h, w) latents to (1, 3, 8 h, 8 w) in [0, 1]; or the other way."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A picture to be measured with.

    Attributes:
        name: For tables.
        picture: float32 (1, 3, h, w) in [0, 1], sides multiples of 8.
        latents: What the teacher makes of it.
    """

    name: str
    picture: NDArray[np.float32]
    latents: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Score:
    """Of one picture or the mean of several: PSNR in decibels, and SSIM."""

    psnr: float
    ssim: float

    @classmethod
    def mean(cls, scores: Sequence[Score]) -> Score:
        """The mean of each."""
        return cls(
            float(np.mean([each.psnr for each in scores])),
            float(np.mean([each.ssim for each in scores])),
        )


def held_out(folder: Path, encode: Coder) -> list[Example]:
    """The middle of every picture that is not trained on, at 512 x 512 pixels."""
    paths = [path for path in sorted(folder.glob("*.png")) if is_held_out(path)]
    return [_example(path.stem, _square(load_picture(path)), encode) for path in paths]


def samples(encode: Coder) -> list[Example]:
    """scikit-image's photographs, at their own size."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [_example(Path(name).stem, load_picture(folder / name), encode) for name in _SAMPLES]


def score(example: Example, decode: Coder) -> Score:
    """Compare the decode of an example's latents with the example."""
    from skimage.metrics import structural_similarity

    made, true = np.clip(decode(example.latents), 0, 1)[0], example.picture[0]
    error = float(np.mean((made.astype(np.float64) - true) ** 2))
    ssim = structural_similarity(  # type: ignore[no-untyped-call]
        made, true, channel_axis=0, data_range=1.0, gaussian_weights=True, sigma=1.5
    )
    return Score(-10 * np.log10(max(error, 1e-10)), float(ssim))


def fidelity(example: Example, encode: Coder) -> float:
    """Compare an encoder's latents with the teacher's: signal to noise in decibels."""
    noise = np.mean((encode(example.picture).astype(np.float64) - example.latents) ** 2)
    return float(10 * np.log10(example.latents.var() / max(noise, 1e-12)))


def _square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    middle = picture[y : y + side, x : x + side]
    way = cv2.INTER_AREA if side > _SIDE else cv2.INTER_CUBIC
    return cv2.resize(middle, (_SIDE, _SIDE), interpolation=way)  # type: ignore[return-value]


def _example(name: str, picture: NDArray[np.uint8], encode: Coder) -> Example:
    height, width = (side // 8 * 8 for side in picture.shape[:2])
    planes = np.asarray(picture[:height, :width].transpose(2, 0, 1)[None] / 255, np.float32)
    return Example(name, planes, encode(planes))
