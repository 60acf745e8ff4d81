"""Adjoints of convolutions: gradients of what they make, brought back to what they read.

The weights do not change, so a convolution is a linear map, and its adjoint is another convolution:
of the same weights turned round, with input and output channels exchanged (Dumoulin and Visin,
"A guide to convolution arithmetic for deep learning", 2016). Nothing that was read is needed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from taesd_stream.models.layers.fixed_conv import Convolution, fixed_convolution

__all__ = ["ConvAdjoint", "EnlargingAdjoint"]


class ConvAdjoint:
    """The adjoint of a convolution that is told of zeros around its input.

    Args:
        weight: (C', C / groups, k, k).
        stride: Input elements from one output element to the next.
        groups: Into how many groups the channels fall that do not see each other.

    >>> adjoint = ConvAdjoint(torch.tensor([[[[1.0, 2.0, 3.0]] * 3]]))
    >>> adjoint(torch.ones(1, 1, 1, 1), (0, 0), torch.Size([3, 3])).tolist()
    [[[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]]]
    """

    def __init__(self, weight: Tensor, *, stride: int = 1, groups: int = 1) -> None:
        self._weight, self._stride, self._groups = weight.detach(), stride, groups
        self._turned: Convolution | None = None
        if stride == 1 and groups == 1:
            turned = self._weight.flip(2, 3).transpose(0, 1)
            self._turned = fixed_convolution(
                turned.contiguous(memory_format=torch.channels_last), None
            )

    def __call__(self, gradient: Tensor, padding: tuple[int, int], size: torch.Size) -> Tensor:
        """The gradient of the input, (n, C, h, w).

        Args:
            gradient: Of the output, (n, C', h', w').
            padding: Zeros above and below, and to the left and the right, of the input.
            size: Height and width of the input.
        """
        if self._turned is not None:
            last = self._weight.shape[-1] - 1
            return self._turned(gradient, (last - padding[0], last - padding[1]), None, None)
        _, channels, kernel, _ = self._weight.shape
        shape = (gradient.shape[0], channels * self._groups, *size)
        covered = [
            (made - 1) * self._stride + kernel - 2 * zeros
            for made, zeros in zip(gradient.shape[2:], padding, strict=True)
        ]
        # Rows and columns at the end that no window reaches.
        unread = [whole - read for whole, read in zip(shape[2:], covered, strict=True)]
        return F.conv_transpose2d(
            gradient,
            self._weight,
            stride=self._stride,
            padding=padding,
            output_padding=unread,
            groups=self._groups,
        )


class EnlargingAdjoint:
    """The adjoint of spreading every element over 4x4, two apart: a convolution of stride 2.

    Args:
        weight: (C, C', 4, 4), from C channels of the small picture to C' of the large one.
    """

    def __init__(self, weight: Tensor) -> None:
        self._convolution = fixed_convolution(
            weight.detach().contiguous(memory_format=torch.channels_last), None, stride=2
        )

    def __call__(self, gradient: Tensor, around: tuple[int, int, int, int]) -> Tensor:
        """The gradient of the small picture, (n, C, h, w).

        Args:
            gradient: Of a part of the large one, (n, C', h', w').
            around: Columns to the left and right of that part, and rows above and below it, that
                make it the whole of 2 h x 2 w.
        """
        left, right, top, bottom = around
        if left == right and top == bottom:
            return self._convolution(gradient, (top + 1, left + 1), None, None)
        return self._convolution(F.pad(gradient, around), (1, 1), None, None)
