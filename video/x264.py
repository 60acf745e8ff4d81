"""Options of x264 by which the same frames make the same file."""

from __future__ import annotations

from functools import lru_cache

__all__ = ["x264_options"]

# cv::CpuFeatures in OpenCV's interface.h.
_AVX2 = 11
_AVX_512_SKX = 256


@lru_cache(maxsize=1)
def x264_options() -> dict[str, str]:
    """Options for libx264 on this machine.

    x264's macroblock tree reads past what it has written where it uses AVX-512 and the width is no
    multiple of 128: the same frames then make another file each time (sizes such as
    320x240, 5 to 9 different ones out of 12). Without AVX-512 it takes no longer.
    """
    import cv2

    if cv2.checkHardwareSupport(_AVX_512_SKX) and cv2.checkHardwareSupport(_AVX2):
        return {"x264-params": "asm=avx2"}
    return {}
