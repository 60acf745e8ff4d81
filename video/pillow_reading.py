"""Pictures decoded by Pillow, which says what is wrong in exceptions, not on standard error."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from video.avif_size import check_size
from video.errors import InputError, first_line
from video.fax import FAX, read_fax
from video.named_colors import still_profile
from video.orientation import UPRIGHT, Orientation
from video.pillow_opening import opened_by_pillow

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from video.color_profile import ColorProfile

__all__ = ["StoredPicture", "read_by_pillow", "to_uint8"]

_ORIENTATION_TAG = 0x0112
_DEEP_FORMATS = {"rgb48be": 3, "rgba64be": 4, "ya16be": 2}
"""Channels of 16 bits, by FFmpeg's names."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredPicture:
    """A picture as its file has it.

    Attributes:
        pixels: uint8 (H, W, 3), or 4 where it may be transparent.
        orientation: how it is to be shown.
        profile: what its colours mean; None for sRGB.
    """

    pixels: NDArray[np.uint8]
    orientation: Orientation
    profile: ColorProfile | None

    def shown(self) -> NDArray[np.uint8]:
        """The picture upright, in sRGB: (H, W, 3 or 4)."""
        pixels = self.pixels if self.profile is None else self.profile.applied(self.pixels)
        return self.orientation.applied(pixels)


def read_by_pillow(data: bytes, name: Path, kind: str) -> StoredPicture:
    """Decode a picture of a kind that Pillow knows by this name; 16 bits are rounded to 8.

    Raises:
        InputError: it is damaged, or has numbers that are no colours.
    """
    from PIL.Image import DecompressionBombError

    try:
        with opened_by_pillow(data, kind) as image:
            check_size(image.size, kind, data, name)
            if image.info.get("compression") in FAX:
                return StoredPicture(read_fax(data), UPRIGHT, None)
            # Once it is loaded, the tiles of its file are forgotten.
            tiles = str(getattr(image, "tile", ""))
            is_deep = kind == "PNG" and ";16" in tiles and image.mode[:1] != "I"
            image.load()
            # Only now: of a TIFF, Pillow has turned the pixels and taken the tag away.
            tag = image.getexif().get(_ORIENTATION_TAG, 1)
            orientation = Orientation.of_exif(tag if isinstance(tag, int) else 1)
            icc = image.info.get("icc_profile")
            profile = still_profile(data, icc)
            if image.mode == "CMYK" and profile is not None and profile.mode == "CMYK":
                pixels, profile = np.array(profile.to_srgb(image)), None
            else:
                pixels = _pixels(image, name)
    except InputError:
        raise
    except DecompressionBombError as error:
        raise InputError(
            f"cannot read '{name}': it claims too many pixels ({first_line(error)}): if it has"
            " them, save it as a tiled RGB .tif, which is read in parts"
        ) from error
    except Exception as error:  # whatever a damaged file makes the library stumble over
        raise InputError(
            f"cannot read '{name}' as a picture ({kind}): {_reason(error)}; is it complete?"
        ) from error
    if is_deep:
        pixels = _rounded(data, pixels)
    return StoredPicture(pixels, orientation, profile)


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    return (
        "its header is damaged" if isinstance(error, UnidentifiedImageError) else first_line(error)
    )


def _pixels(image: Image, name: Path) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16)
        opaque = image.info.get("transparency")
        eight = np.repeat(to_uint8(grey)[..., None], 3, axis=2)
        if not isinstance(opaque, int):
            return eight
        return np.dstack((eight, np.where(grey == opaque, 0, 255).astype(np.uint8)))
    if image.mode == "I" and image.format == "PPM":
        return np.repeat(to_uint8(np.asarray(image).astype(np.uint16))[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        what = "32-bit integers" if image.mode == "I" else "32-bit floating-point numbers"
        raise InputError(
            f"expected 8 or 16 bits a channel in '{name}'; found {what}: save it as 16-bit .png or"
            " .tif"
        )
    if image.mode == "LAB":
        return _lab_as_rgb(image)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return np.array(image.convert(mode))


def _lab_as_rgb(image: Image) -> NDArray[np.uint8]:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    return np.array(converted)


def _rounded(data: bytes, truncated: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A PNG of 16 bits rounded to 8 by way of FFmpeg, for Pillow leaves out the lower 8.

    It is known to be whole.
    """
    import av

    try:
        with av.open(BytesIO(data), "r", format="png_pipe") as container:
            frame = next(container.decode(video=0))
    except (av.FFmpegError, StopIteration):  # it minds a wrong sum
        return truncated
    channels = _DEEP_FORMATS.get(frame.format.name)
    if channels is None:
        return truncated
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), ">u2").reshape(plane.height, -1)
    stored = rows[:, : plane.width * channels].reshape(plane.height, plane.width, channels)
    if channels == 2:
        stored = stored[..., [0, 0, 0, 1]]
    return to_uint8(stored.astype(np.uint16)) if stored.shape == truncated.shape else truncated


def to_uint8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """8 bits as they are, 16 rounded to them.

    Raises:
        ValueError: if they are neither.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        # 65535 is 257 times 255: the nearest of 256 levels.
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    raise ValueError(f"expected 8 or 16 bits a channel; found {pixels.dtype}")
