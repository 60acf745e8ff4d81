"""nano beside what else shows latents without the official weights, in figures and in pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

import taesd_stream as ts
from training.figures import Coder, Example, Score, score

__all__ = ["engine_decoder", "sheet", "table"]

_MARGIN = 6
_LABEL = 26


def engine_decoder(model: str | Path) -> Coder:
    """A model as users run it."""
    ae = ts.load(model, device="cpu", dtype="float32", backend="torch")

    def decode(latents: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(ae.decode(torch.from_numpy(latents)).numpy(), np.float32)

    return decode


def table(sets: Mapping[str, Sequence[Example]], decoders: Mapping[str, Coder]) -> str:
    """PSNR in dB and SSIM of every picture and the means of every set, in Markdown."""
    lines = ["| | " + " | ".join(f"{name}: PSNR | SSIM" for name in decoders) + " |"]
    lines.append("| --- |" + " ---: |" * (2 * len(decoders)))
    for title, examples in sets.items():
        scores = {
            name: [score(each, decode) for each in examples] for name, decode in decoders.items()
        }
        for index, example in enumerate(examples):
            lines.append(_row(example.name, [each[index] for each in scores.values()]))
        means = [Score.mean(each) for each in scores.values()]
        lines.append(_row(f"**{title}, mean of {len(examples)}**", means))
    return "\n".join(lines)


def sheet(
    examples: Sequence[Example], decoders: Mapping[str, Coder], side: int
) -> NDArray[np.uint8]:
    """The middles of pictures side by side: the original, then each decode; uint8 BGR."""
    rows = [_labels(["original", *decoders], side)]
    for example in examples:
        made = [example.picture, *(decode(example.latents) for decode in decoders.values())]
        rows.append(_beside([_middle(each[0], side) for each in made]))
    return np.vstack(rows)


def _row(name: str, scores: Sequence[Score]) -> str:
    return f"| {name} | " + " | ".join(f"{s.psnr:.2f} | {s.ssim:.3f}" for s in scores) + " |"


def _middle(planes: NDArray[np.float32], side: int) -> NDArray[np.uint8]:
    picture = np.round(np.clip(planes, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)[..., ::-1]
    y, x = ((length - side) // 2 for length in picture.shape[:2])
    return picture[max(0, y) : max(0, y) + side, max(0, x) : max(0, x) + side]


def _beside(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    padded = [
        np.pad(each, ((0, _MARGIN), (0, _MARGIN), (0, 0)), constant_values=255) for each in pictures
    ]
    return np.hstack(padded)


def _labels(names: Sequence[str], side: int) -> NDArray[np.uint8]:
    strip = np.full((_LABEL, (side + _MARGIN) * len(names), 3), 255, np.uint8)
    for index, name in enumerate(names):
        corner = (index * (side + _MARGIN) + 4, _LABEL - 8)
        cv2.putText(strip, name, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
    return strip
