"""From the network's floats to what is kept: values in [0, 1], or bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from torch import Tensor

__all__ = ["to_array", "to_bytes", "to_images"]


def to_bytes(pixels: Tensor) -> Tensor:
    """(3, H, W) floats, of which [0, 1] counts, to (H, W, 3) bytes, rounded to the nearest.

    They stay on the device.

    >>> to_bytes(torch.tensor([-1.0, 0.5, 2.0]).view(3, 1, 1)).tolist()
    [[[0, 128, 255]]]
    """
    scaled = pixels.float().clamp(0, 1).mul_(255).add_(0.5).to(torch.uint8)
    return rearrange(scaled, "c h w -> h w c")


def to_array(image: Tensor) -> npt.NDArray[np.uint8]:
    """Bytes on any device as an array in the host's memory; what is there already is not copied.

    >>> to_array(torch.zeros(2, 4, 3, dtype=torch.uint8)).shape
    (2, 4, 3)
    """
    array: npt.NDArray[np.uint8] = image.cpu().numpy()
    return array


def to_images(frames: npt.NDArray[np.uint8]) -> Tensor:
    """(N, H, W, 3) bytes to (N, 3, H, W) float32 in [0, 1].

    >>> to_images(np.full((1, 2, 2, 3), 255, np.uint8)).shape
    torch.Size([1, 3, 2, 2])
    """
    return rearrange(torch.from_numpy(frames), "n h w c -> n c h w").float().div_(255)
