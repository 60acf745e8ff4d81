"""Stills in and out of files: Pillow reads them, OpenCV writes them; RGB order on our side."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from video.errors import InputError
from video.file_kinds import ANIMATED_AVIF, HEAD_BYTES, kind_of, refuse_unread
from video.heif import heif_kind, read_heif
from video.image_names import check_picture_name
from video.pillow_reading import read_by_pillow
from video.safe_files.interrupts import deferred_interrupt
from video.safe_files.part_file import PartFile, check_output, write_faults
from video.transparency import OVER_WHITE, Transparency

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

__all__ = [
    "check_writable",
    "decode_image",
    "encode_image",
    "jpeg_parameters",
    "read_image",
    "read_upright",
    "write_image",
]

_MOST_PIXELS = 1 << 28
_WEBP_LOSSLESS = 101
_WEBP_QUALITY = 95
_JPEG_QUALITY = 95


def read_image(path: str | PathLike[str], *, channels: int = 3) -> NDArray[np.uint8]:
    """Read a still as uint8, (H, W, 3) RGB or, with ``channels`` 4, (H, W, 4) RGBA.

    With 3, grey becomes RGB, what is transparent shows white, a photograph is turned the way its
    EXIF data says, and colours of another profile are brought to sRGB. With 4, the file must hold
    four channels, and they come back as stored. 16 bits are rounded to 8.

    Raises:
        InputError: if there is no such file, it is no picture, or it has too few channels.
    """
    if channels not in (3, 4):
        raise InputError(f"expected 3 or 4 channels to be asked for; found {channels!r}")
    if channels == 3:
        return OVER_WHITE.applied(read_upright(path))
    image = _read(Path(path), as_stored=True)
    if image.shape[2] < channels:
        raise InputError(f"expected {channels} channels in '{path}'; found {image.shape[2]}")
    return image


def read_upright(path: str | PathLike[str]) -> NDArray[np.uint8]:
    """Read a still as it is to be shown: uint8 (H, W, 3), or (H, W, 4) where it may be transparent.

    Raises:
        InputError: if there is no such file, or it is no picture.
    """
    return _read(Path(path), as_stored=False)


def _read(source: Path, *, as_stored: bool) -> NDArray[np.uint8]:
    if not source.is_file():
        what = "a folder" if source.is_dir() else "no such file"
        raise InputError(f"expected a picture at '{source}'; found {what}")
    if not as_stored and find_spec("tifffile") is not None:
        image = _tiff_by_parts(source)
        if image is not None:
            return image
    try:
        data = source.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read '{source}': {error.strerror}") from error
    return decode_image(data, source, as_stored=as_stored)


def _tiff_by_parts(source: Path) -> NDArray[np.uint8] | None:
    """A TIFF by tifffile, (H, W, 4), for it rounds 16 bits and prints nothing; or None."""
    from video.large.reading import open_regions
    from video.large.reading_tiff import is_tiff_in_parts

    if not is_tiff_in_parts(source):
        return None
    with open_regions(source, transparency=Transparency(is_kept=True)) as reader:
        if reader.width * reader.height > _MOST_PIXELS:
            raise InputError(
                f"expected a picture of up to {_MOST_PIXELS} pixels at '{source}'; found"
                f" {reader.width}x{reader.height}: give it alone, to a model for pictures, which"
                " reads it in parts"
            )
        return reader.read(slice(0, reader.height), slice(0, reader.width))


def decode_image(data: bytes, name: Path, *, as_stored: bool = True) -> NDArray[np.uint8]:
    """Decode the bytes of an image file: uint8, (H, W, 3 or 4); ``name`` is for the message.

    ``as_stored`` ignores EXIF and colour profiles; else the picture is as it is to be shown. It has
    four channels only where it may be transparent. Of an animation it is the first frame.

    Raises:
        InputError: if they are no picture.
    """
    kind = kind_of(data[:HEAD_BYTES], name)
    refuse_unread(kind, name)
    heif = "AVIF" if kind == ANIMATED_AVIF else heif_kind(data)
    if heif is not None:
        picture = read_heif(data, name, heif)
    elif kind is not None and kind.pillow is not None:
        picture = read_by_pillow(data, name, kind.pillow)
    else:
        found = f"{len(data)} bytes of no known format" if kind is None else kind.name
        raise InputError(
            f"cannot read '{name}' as a picture: expected .png, .jpg, .webp, .tif, .heic or the"
            f" like, found {found}"
        )
    return picture.pixels if as_stored else picture.shown()


def check_writable(path: str | PathLike[str], *, overwrite: bool) -> Path:
    """Say at once whether a picture could be written to ``path``.

    Raises:
        InputError: if its suffix is no picture's, or its folder is missing.
        OutputExistsError: if the file exists and ``overwrite`` is false.
    """
    target = Path(path)
    check_picture_name(target)
    return check_output(target, overwrite=overwrite)


def write_image(
    path: str | PathLike[str],
    image: NDArray[np.uint8],
    *,
    overwrite: bool = False,
    lossless: bool = False,
) -> Path:
    """Write uint8 (H, W, 3) RGB or (H, W, 4) RGBA as .png, .jpg or .webp; returns the path.

    The file appears complete or not at all. ``lossless`` makes WebP lossless; PNG always is.

    Raises:
        InputError: if the array or the suffix is none of these, or the folder is missing.
        OutputExistsError: if the file exists and ``overwrite`` is false.
        OutputError: if writing fails; nothing is left behind.

    Example:
        >>> import tempfile
        >>> red = np.zeros((2, 3, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = write_image(f"{folder}/red.png", red)
        ...     bool((read_image(file) == red).all())
        True
    """
    target = check_writable(path, overwrite=overwrite)
    data = encode_image(target, image, lossless=lossless)
    work = f"writing '{target}'"
    with deferred_interrupt(), PartFile(target) as part, write_faults(target, work):
        part.path.write_bytes(data.data)
        part.publish(overwrite=overwrite)
    return target


def jpeg_parameters(quality: int) -> list[int]:
    """OpenCV's parameters of a JPEG, of a quality from 1 to 100 and with chroma of full size."""
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling]


def encode_image(
    target: Path, image: NDArray[np.uint8], *, lossless: bool = False
) -> NDArray[np.uint8]:
    """The bytes of the file that ``write_image`` writes, of the kind that a name's suffix says.

    Raises:
        InputError: if the array is none of a picture, or the file could not hold it.

    Example:
        >>> bytes(encode_image(Path("red.png"), np.zeros((2, 3, 3), np.uint8))[1:4])
        b'PNG'
    """
    suffix = target.suffix.lower()
    is_image = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
    if not is_image or image.shape[2] not in (3, 4) or 0 in image.shape:
        shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", type(image).__name__)
        raise InputError(
            f"expected a picture (H, W, 3 or 4) of uint8; found shape {shape} and dtype {dtype}"
        )
    is_jpeg = suffix in (".jpg", ".jpeg")
    if is_jpeg and (lossless or image.shape[2] == 4):
        what = "is never lossless" if lossless else "has no alpha channel"
        raise InputError(f"JPEG {what}; found '{target.name}': write .png instead")
    parameters: list[int] = []
    if is_jpeg:
        parameters = jpeg_parameters(_JPEG_QUALITY)
    elif suffix == ".webp":
        quality = _WEBP_LOSSLESS if lossless else _WEBP_QUALITY
        parameters = [cv2.IMWRITE_WEBP_QUALITY, quality]
    order = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    try:
        encoded, data = cv2.imencode(suffix, cv2.cvtColor(image, order), parameters)
    except cv2.error as error:
        raise InputError(
            f"{suffix} cannot hold a picture of {image.shape[1]}x{image.shape[0]}: {error.err}"
        ) from error
    if not encoded:
        raise InputError(
            f"{suffix} cannot hold a picture of {image.shape[1]}x{image.shape[0]} pixels"
        )
    return np.asarray(data, dtype=np.uint8)
