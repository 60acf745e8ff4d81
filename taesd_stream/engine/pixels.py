"""From the network's floats to what is kept: values in [0, 1], or bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from torch import Tensor

from video.transparency import OVER_WHITE, Transparency

__all__ = ["laid_over", "to_array", "to_bytes", "to_images", "with_alpha"]

_RGB, _RGBA = 3, 4


def to_bytes(pixels: Tensor, transparency: Transparency = OVER_WHITE) -> Tensor:
    """(3, H, W) floats, of which [0, 1] counts, to (H, W, 3) bytes, rounded to the nearest.

    They stay on the device. Those with straight alpha, (4, H, W), are laid over a colour, or become
    (H, W, 4) where it is kept.

    >>> to_bytes(torch.tensor([-1.0, 0.5, 2.0]).view(3, 1, 1)).tolist()
    [[[0, 128, 255]]]
    >>> to_bytes(torch.tensor([0.0, 1.0, 0.0, 0.5]).view(4, 1, 1)).tolist()
    [[[128, 255, 128]]]
    """
    clear = pixels.float().clamp(0, 1)
    if clear.shape[0] == _RGBA and not transparency.is_kept:
        clear = laid_over(clear, transparency.background)
    scaled = clear.mul_(255).add_(0.5).to(torch.uint8)
    return rearrange(scaled, "c h w -> h w c")


def to_array(image: Tensor) -> npt.NDArray[np.uint8]:
    """Bytes on any device as an array in the host's memory; what is there already is not copied.

    >>> to_array(torch.zeros(2, 4, 3, dtype=torch.uint8)).shape
    (2, 4, 3)
    """
    array: npt.NDArray[np.uint8] = image.cpu().numpy()
    return array


def to_images(frames: npt.NDArray[np.uint8], channels: int = 3) -> Tensor:
    """(N, H, W, 3 or 4) bytes to (N, channels, H, W) float32 in [0, 1]: alpha is opaque if missing.

    >>> to_images(np.full((1, 2, 2, 3), 255, np.uint8)).shape
    torch.Size([1, 3, 2, 2])
    """
    pixels = rearrange(torch.from_numpy(frames), "n h w c -> n c h w").float().div_(255)
    return with_alpha(pixels, channels)


def laid_over(rgba: Tensor, background: tuple[int, int, int]) -> Tensor:
    """(..., 4, H, W) in [0, 1], of straight alpha, laid over RGB bytes: (..., 3, H, W)."""
    rgb, alpha = rgba[..., :3, :, :], rgba[..., 3:, :, :]
    clear = 1 - alpha
    # Not a tensor of the colour, which a GPU would have to wait for.
    under = torch.cat([clear * (level / 255) for level in background], dim=-3)
    return under.addcmul_(rgb, alpha)


def with_alpha(rgb: Tensor, channels: int) -> Tensor:
    """Pictures in as many channels as asked for: opaque where they have no alpha and need one."""
    lacks_alpha = isinstance(rgb, Tensor) and rgb.dim() >= _RGB and rgb.shape[-_RGB] == _RGB
    if channels != _RGBA or not lacks_alpha:
        return rgb
    return torch.cat([rgb, torch.ones_like(rgb[..., :1, :, :])], dim=-3)
