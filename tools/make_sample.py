"""Make the sample inside the package: a photograph under a slow pan and zoom, as 8-bit latents.

    python tools/make_sample.py astronaut.png VAEencoder.onnx taesd_stream/samples/astronaut

The photograph is scikit-image's astronaut (NASA, public domain). The encoder is VAElight's
VAEencoder.onnx (github.com/Graphnull/VAElight, Apache-2.0): images in [-1, 1] to Stable Diffusion
1's latents before scaling. It needs onnxruntime besides this package.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from taesd_stream.latents import save_latents
from video import read_image

FRAMES = 48
HEIGHT, WIDTH = 320, 448
# Stable Diffusion 1's scaling_factor: latents as diffusers returns them have it applied.
SCALE = 0.18215


def moving_crops(picture: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    """A window that drifts and zooms and comes back to where it began, so that the clip loops."""
    side = min(picture.shape[:2])
    for index in range(FRAMES):
        phase = 2 * math.pi * index / FRAMES
        zoom = 0.80 - 0.14 * math.cos(phase)
        width, height = side * zoom, side * zoom * HEIGHT / WIDTH
        x = (side - width) / 2 + 0.06 * side * math.sin(phase)
        y = (side - height) * 0.04 * (1 - math.cos(phase))
        corners = np.array([[x, y], [x + width, y], [x, y + height]], np.float32)
        target = np.array([[0, 0], [WIDTH, 0], [0, HEIGHT]], np.float32)
        yield np.asarray(
            cv2.warpAffine(
                picture,
                cv2.getAffineTransform(corners, target),
                (WIDTH, HEIGHT),
                flags=cv2.INTER_LANCZOS4,
                borderMode=cv2.BORDER_REFLECT,
            ),
            np.uint8,
        )


def encode(frames: Iterator[npt.NDArray[np.uint8]], encoder: Path) -> Iterator[torch.Tensor]:
    """(C, h, w) latents, scaled, of frames."""
    session = onnxruntime.InferenceSession(str(encoder))
    name = session.get_inputs()[0].name
    for frame in frames:
        pixels = (frame.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        (latent,) = session.run(None, {name: pixels})
        yield torch.from_numpy(np.asarray(latent))[0] * SCALE


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    frames = moving_crops(read_image(arguments.picture))
    target = arguments.folder / "%05d.png"
    saved = save_latents(target, encode(frames, arguments.encoder), overwrite=True)
    print(f"{saved.frames} latents, {saved.clipped_values} values clipped")


if __name__ == "__main__":
    main()
