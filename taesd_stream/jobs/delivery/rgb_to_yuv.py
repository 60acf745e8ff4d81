"""RGB to the planes that video encoders take, on the device, so that half as many bytes travel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

__all__ = ["YuvLayout", "to_yuv420"]


@dataclass(frozen=True, slots=True)
class YuvLayout:
    """Planes of 8 bits with chroma of half the size both ways, sited left.

    Attributes:
        height: Of the luma plane; no smaller than the picture.
        width: The same.
        kr: Weight of red in luma.
        kb: Weight of blue in luma.
        full_range: 0 to 255; else 16 to 235 for luma and 16 to 240 for chroma.
        interleaved: Both chroma planes as one, Cb and Cr in turn (NV12); else one by one.
    """

    height: int
    width: int
    kr: float = 0.2126
    kb: float = 0.0722
    full_range: bool = False
    interleaved: bool = False


def to_yuv420(image: Tensor, layout: YuvLayout) -> tuple[Tensor, ...]:
    """Convert RGB to Y, Cb and Cr, or Y and both in turn.

    A chroma sample lies over the left of its two columns and between its two rows, so it is the
    mean of two rows and weighs columns 1:2:1 around its own. Where the planes go on after the
    picture, its last row and column are repeated.

    Args:
        image: (H, W, 3) bytes.

    Returns:
        Bytes on the image's device: (h, w), then two of (ceil(h / 2), ceil(w / 2)) or one that is
        twice as wide.

    >>> white = torch.full((2, 2, 3), 255, dtype=torch.uint8)
    >>> [plane.tolist() for plane in to_yuv420(white, YuvLayout(2, 2))]
    [[[235, 235], [235, 235]], [[128]], [[128]]]
    """
    height, width = layout.height, layout.width
    kr, kb = layout.kr, layout.kb
    kg = 1 - kr - kb
    black, luma_levels, chroma_levels = (0, 255, 255) if layout.full_range else (16, 219, 224)
    rgb = _padded(image, height + height % 2, width + width % 2)
    luma = _weighed(rgb[:, :height, :width], (kr, kg, kb), luma_levels / 255, black)
    quarter = _halved(rgb)
    unit = chroma_levels / 255 / 2
    cb = _weighed(quarter, (-kr / (1 - kb), -kg / (1 - kb), 1), unit, 128)
    cr = _weighed(quarter, (1, -kg / (1 - kr), -kb / (1 - kr)), unit, 128)
    if layout.interleaved:
        return luma, rearrange([cb, cr], "two h w -> h (w two)").contiguous()
    return luma, cb, cr


def _padded(image: Tensor, height: int, width: int) -> Tensor:
    """(3, height, width) floats, the last row and column repeated."""
    planes = rearrange(image, "h w c -> c h w").float()
    below, right = height - planes.shape[1], width - planes.shape[2]
    if not below and not right:
        return planes
    return functional.pad(planes[None], (0, right, 0, below), mode="replicate")[0]


def _halved(planes: Tensor) -> Tensor:
    """The mean of two rows, and 1:2:1 around every other column; the first one's left is itself."""
    rows = planes[:, 0::2] + planes[:, 1::2]
    even, odd = rows[..., 0::2], rows[..., 1::2]
    total = even.mul(2).add_(odd)
    total[..., 1:] += odd[..., :-1]
    total[..., 0] += even[..., 0]
    return total.div_(8)


def _weighed(planes: Tensor, weights: tuple[float, float, float], unit: float, zero: int) -> Tensor:
    """A weighed sum of three planes in levels from ``zero`` on, rounded to bytes."""
    total = planes[0] * (weights[0] * unit)
    for plane, weight in zip(planes[1:], weights[1:], strict=True):
        total.add_(plane, alpha=weight * unit)
    return total.add_(zero + 0.5).clamp_(0, 255).to(torch.uint8)
