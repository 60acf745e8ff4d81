"""Latents as other programs push them: the bytes of a .safetensors file, checked before the rest
of them is read.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Final

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from taesd_stream.errors import LatentsError
from taesd_stream.latents import check_finite
from taesd_stream.latents.formats.safetensors_header import SafetensorsHeader

__all__ = ["PushedLatents"]

_LENGTH: Final = struct.Struct("<Q")
_MOST_HEADER: Final = 1 << 14
_FLOATS: Final = ("F16", "BF16", "F32", "F64")
_KEY: Final = "latents"


@dataclass(frozen=True, slots=True)
class PushedLatents:
    """What may be pushed to a model.

    Attributes:
        model: Its name.
        channels: Of its latents.
        most_bytes: Of one upload.
    """

    model: str
    channels: int
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
