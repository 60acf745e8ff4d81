"""Make the README's picture: one photograph, decoded in tiles in three ways.

    python tools/make_readme_picture.py coffee.png taef2_decoder.pth docs/seams.jpg

The photograph is scikit-image's coffee (Rachel Michetti, public domain). It is encoded once; the
rest is this package at work. The encoder's file must lie beside the decoder's.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

import taesd_stream as ts
from taesd_stream.engine.pixels import to_array, to_bytes, to_images
from video import read_image, write_image

TILE = 16
WAYS: tuple[tuple[str, int | Literal["exact"]], ...] = (
    ("tiles, no overlap", 0),
    ("tiles, blended over 4 latents", 4),
    ("taesd-stream: exact tiles", "exact"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("decoder", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    ae = ts.load(arguments.decoder, device="cpu")
    latents = ae.encode(to_images(read_image(arguments.picture)[None]))
    whole = to_array(to_bytes(ae.decode(latents, tile=None)[0]))
    panels = []
    for title, overlap in WAYS:
        panel = to_array(to_bytes(ae.decode(latents, tile=TILE, overlap=overlap)[0]))
        error = np.abs(panel.astype(int) - whole).max()
        print(f"{title}: off by at most {error} of 255 from the undivided decode")
        caption = np.full((36, panel.shape[1], 3), 255, np.uint8)
        cv2.putText(caption, title, (8, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 0, 2, cv2.LINE_AA)
        panels.append(np.vstack([panel, caption]))
    write_image(arguments.output, np.hstack(panels), overwrite=True)


if __name__ == "__main__":
    main()
