"""Latents as other programs push them: the bytes of a .safetensors file, checked before the rest
of them is read.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Final

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from taesd_stream.errors import LatentsError
from taesd_stream.latents import check_finite
from taesd_stream.latents.formats.safetensors_header import SafetensorsHeader

__all__ = [
    "MOST_LATENTS",
    "MOST_PIXELS",
    "MOST_SIDE",
    "MOST_UPLOAD_BYTES",
    "PushedLatents",
    "latent_bytes",
]

MOST_UPLOAD_BYTES: Final = 16 << 20
"""Of latents in one request or message: 21 of Wan's at 832x480 in float32 are half of it."""

_LENGTH: Final = struct.Struct("<Q")
_MOST_HEADER: Final = 1 << 14
_FLOATS: Final = ("F16", "BF16", "F32", "F64")
_KEY: Final = "latents"

MOST_PIXELS: Final = 16 << 20
"""Of a frame: 4096x4096."""

MOST_SIDE: Final = 1 << 14
"""Pixels of a frame."""

MOST_LATENTS: Final = 256
"""In one request or message."""


def latent_bytes(latents: Tensor) -> bytes:
    """Latents on the host as they are pushed: the bytes of a .safetensors file."""
    return save({_KEY: latents.contiguous()})


@dataclass(frozen=True, slots=True)
class PushedLatents:
    """What may be pushed to a model.

    Attributes:
        model: Its name.
        channels: Of its latents.
        scale: Pixels of a frame per latent, along each axis.
        most_bytes: Of one upload.
    """

    model: str
    channels: int
    scale: int
    most_bytes: int

    def head_bytes(self, start: bytes) -> int | None:
        """The bytes up to the end of the header, as its first eight say; None if there are fewer.

        Raises:
            LatentsError: It is too long for latents.
        """
        if len(start) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack(start[: _LENGTH.size])
        if length > _MOST_HEADER:
            raise LatentsError(
                f"latents: expected the bytes of a .safetensors file with a header of up to"
                f" {_MOST_HEADER} bytes, found one of {length}; make them with"
                " safetensors.torch.save({'latents': z})"
            )
        return _LENGTH.size + int(length)

    def check_head(self, head: bytes, size: int) -> None:
        """Refuse what is no latent of the model, by its header.

        Args:
            head: All bytes up to the end of the header.
            size: Of the whole, in bytes.

        Raises:
            LatentsError: That.
        """
        try:
            header = SafetensorsHeader(io.BytesIO(head), size)
        except ValueError as error:
            raise LatentsError(
                f"latents: expected the bytes of a .safetensors file, found {error}; make them with"
                " safetensors.torch.save({'latents': z})"
            ) from error
        entry = header.entries.get(_KEY)
        if entry is None or len(header.entries) != 1:
            raise LatentsError(
                f"latents: expected one array of the name {_KEY!r}, found"
                f" {', '.join(map(repr, header.entries)) or 'none'!s:.100}"
            )
        shape = entry["shape"]
        if entry["dtype"] not in _FLOATS:
            raise LatentsError(
                f"latents: expected one of {', '.join(_FLOATS)}, found {entry['dtype']!r:.20}"
            )
        if len(shape) not in (3, 4) or shape[-3] != self.channels or not min(shape):
            raise LatentsError(
                f"latents: expected (C, h, w) or (T, C, h, w) of {self.channels} channels, which"
                f" {self.model} takes, found {shape!s:.60}"
            )
        height, width = (self.scale * side for side in shape[-2:])
        if height * width > MOST_PIXELS or max(height, width) > MOST_SIDE:
            raise LatentsError(
                f"latents: expected those of frames of up to {MOST_PIXELS >> 20} megapixels and"
                f" {MOST_SIDE} pixels a side, found {width}x{height}; decode larger ones into a"
                " file"
            )
        if len(shape) == 4 and shape[0] > MOST_LATENTS:
            raise LatentsError(
                f"latents: expected up to {MOST_LATENTS} at once, found {shape[0]!s:.20}; push them"
                " one by one"
            )

    def read(self, data: bytes) -> Tensor:
        """The latents, (T, C, h, w), of all bytes of a file whose header was checked.

        Raises:
            LatentsError: They cannot be read, or hold NaN or infinity.
        """
        head = self.head_bytes(data)
        if head is None:
            raise LatentsError(
                f"latents: expected the bytes of a .safetensors file, found {len(data)}"
            )
        self.check_head(data[:head], len(data))
        try:
            latents = load(data)[_KEY]
        except SafetensorError as error:
            raise LatentsError(f"latents: expected a .safetensors file ({error})") from error
        pictures = latents if latents.dim() == 4 else latents[None]
        for number, latent in enumerate(pictures):
            check_finite(latent, number)
        return pictures
