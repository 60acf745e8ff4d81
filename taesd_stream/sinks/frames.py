"""Frames on their way from whoever made them to the thread that writes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from taesd_stream.engine.device_copies import OwnStream, Transfer
from taesd_stream.engine.pixels import to_array, to_bytes
from taesd_stream.errors import InputError
from tiling import Size

__all__ = ["Frame", "FrameTaking", "TakenFrame", "frame_array"]

Frame = npt.NDArray[np.uint8]

_EXPECTED = "expected bytes (H, W, 3) as a numpy array, or a tensor (3, H, W) of floats in [0, 1]"


@dataclass(frozen=True, slots=True)
class TakenFrame:
    """A frame as it was when it was taken, whatever became of it since.

    Attributes:
        size: In pixels.
        at: When it came, in seconds of any clock; None where that is of no interest.
    """

    size: Size
    at: float | None
    _pixels: Frame | Tensor | Transfer

    def array(self) -> Frame:
        """(H, W, 3) bytes, once they are in the host's memory; not to be kept nor changed."""
        if isinstance(self._pixels, Transfer):
            return self._pixels.arrays()[0]
        if isinstance(self._pixels, Tensor):
            return to_array(self._pixels)
        return self._pixels


class FrameTaking:
    """Takes frames without waiting for the device that they are on.

    >>> taken = FrameTaking().take(torch.ones(3, 2, 4))
    >>> taken.size, taken.array()[0, 0]
    (Size(height=2, width=4), array([255, 255, 255], dtype=uint8))
    """

    def __init__(self) -> None:
        self._streams: dict[torch.device, OwnStream] = {}

    def take(self, frame: object, at: float | None = None) -> TakenFrame:
        """Take a frame that its owner may change or let go afterwards.

        Args:
            frame: (H, W, 3) RGB bytes as an array; or (3, H, W) floats in [0, 1], on any device.
            at: When it came.

        Raises:
            InputError: It is something else.
        """
        if isinstance(frame, np.ndarray):
            pixels = np.array(_checked(frame), order="C")
            return TakenFrame(Size(pixels.shape[0], pixels.shape[1]), at, pixels)
        return self.take_bytes(to_bytes(_checked_tensor(frame)), at)

    def take_bytes(self, image: Tensor, at: float | None = None) -> TakenFrame:
        """Take (H, W, 3) bytes on any device, which nobody changes any more."""
        size = Size(int(image.shape[0]), int(image.shape[1]))
        if image.device.type != "cuda":
            return TakenFrame(size, at, image)
        stream = self._streams.get(image.device)
        if stream is None:
            stream = self._streams[image.device] = OwnStream(image.device)
        with stream.after(image):
            return TakenFrame(size, at, Transfer([image]))


def frame_array(frame: object) -> Frame:
    """A frame as an array (H, W, 3) of bytes, as ``FrameTaking.take`` takes it; waits for it.

    Raises:
        InputError: It is no frame.
    """
    if isinstance(frame, np.ndarray):
        return _checked(frame)
    return to_array(to_bytes(_checked_tensor(frame)))


def _checked(frame: npt.NDArray[np.generic]) -> Frame:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise InputError(f"frame: {_EXPECTED}; found {frame.dtype} {frame.shape}")
    return frame.astype(np.uint8, copy=False)


def _checked_tensor(frame: object) -> Tensor:
    if not isinstance(frame, Tensor):
        raise InputError(f"frame: {_EXPECTED}; found {type(frame).__name__}")
    if frame.dim() != 3 or frame.shape[0] != 3 or not frame.numel():
        raise InputError(f"frame: {_EXPECTED}; found a tensor {tuple(frame.shape)}")
    if not frame.is_floating_point():
        raise InputError(f"frame: {_EXPECTED}; found a tensor of {frame.dtype}")
    return frame.detach()
