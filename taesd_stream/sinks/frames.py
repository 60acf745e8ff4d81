"""Frames on their way from whoever made them to the threads that write them."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from taesd_stream.engine.device_copies import OwnStream, Transfer
from taesd_stream.engine.pixels import to_array, to_bytes
from taesd_stream.errors import InputError
from tiling import Size

__all__ = ["Frame", "FrameTaking", "TakenFrame", "copy_on_host", "frame_array"]

Frame = npt.NDArray[np.uint8]

_EXPECTED = "expected bytes (H, W, 3) as a numpy array, or a tensor (3, H, W) of floats in [0, 1]"


class TakenFrame:
    """A frame as it was when it was taken, whatever became of it since.

    Args:
        size: In pixels.
        at: When it came, in seconds of any clock; None where that is of no interest.
        bring: Makes (H, W, 3) bytes of it, once they are in the host's memory.
    """

    def __init__(self, size: Size, at: float | None, bring: Callable[[], Frame]) -> None:
        self.size, self.at = size, at
        self._bring: Callable[[], Frame] | None = bring
        self._pixels: Frame | None = None
        self._turn = Lock()

    def array(self) -> Frame:
        """(H, W, 3) bytes, not to be kept nor changed; any thread may wait for them."""
        with self._turn:
            if self._bring is not None:
                self._pixels, self._bring = self._bring(), None
            assert self._pixels is not None
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
            return TakenFrame(Size(*pixels.shape[:2]), at, lambda: pixels)
        tensor = _checked_tensor(frame)
        if tensor.device.type != "cpu":
            return self.take_bytes(to_bytes(tensor), at)
        copied = copy_on_host(tensor)
        return TakenFrame(Size(*tensor.shape[1:]), at, lambda: _bytes_of(copied))

    def take_bytes(self, image: Tensor, at: float | None = None) -> TakenFrame:
        """Take (H, W, 3) bytes on any device, which nobody changes any more."""
        size = Size(*image.shape[:2])
        if image.device.type != "cuda":
            return TakenFrame(size, at, lambda: to_array(image))
        stream = self._streams.get(image.device)
        if stream is None:
            stream = self._streams[image.device] = OwnStream(image.device)
        with stream.after(image):
            transfer = Transfer([image])
        return TakenFrame(size, at, lambda: transfer.arrays()[0])


def copy_on_host(tensor: Tensor) -> Tensor:
    """A copy of what is on the host, made by this thread alone.

    PyTorch's own copy of a large tensor waits for threads on all cores; where other programs are at
    work on these, many times as long as it takes.

    >>> copy_on_host(torch.ones(2, dtype=torch.bfloat16))
    tensor([1., 1.], dtype=torch.bfloat16)
    """
    plain = tensor.detach().contiguous()
    return torch.from_numpy(np.array(plain.view(torch.uint8).numpy())).view(plain.dtype)


def frame_array(frame: object) -> Frame:
    """A frame as an array (H, W, 3) of bytes, as ``FrameTaking.take`` takes it; waits for it.

    Raises:
        InputError: It is no frame.
    """
    if isinstance(frame, np.ndarray):
        return _checked(frame)
    tensor = _checked_tensor(frame)
    return _bytes_of(tensor) if tensor.device.type == "cpu" else to_array(to_bytes(tensor))


def _bytes_of(pixels: Tensor) -> Frame:
    """What ``to_bytes`` makes of a picture on the host, made by this thread alone."""
    floats = pixels if pixels.dtype != torch.bfloat16 else pixels.float()
    made = np.empty((*pixels.shape[1:], 3), np.uint8)
    with np.errstate(invalid="ignore"):  # of NaN, which is no colour
        for channel, plane in enumerate(floats.numpy()):
            levels = np.clip(plane, 0, 1, dtype=np.float32)
            levels *= 255
            levels += 0.5
            made[..., channel] = levels.astype(np.uint8)
    return made


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
