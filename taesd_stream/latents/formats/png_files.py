"""8-bit latents as RGBA pictures, as TAESD's author saves them.

The four channels of a latent are a picture's red, green, blue and alpha; the byte 0 stands for -3
and 255 for 3, so a step is 6/255. Of latents of more channels, a multiple of four, each four are
such a picture, one below the other.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from einops import rearrange

from taesd_stream.errors import LatentsError
from taesd_stream.latents.checks import check_finite, require_memory
from taesd_stream.latents.formats.png_pictures import noise_instead, picture_instead
from taesd_stream.latents.opening_stores import open_store
from taesd_stream.latents.read_options import ReadOptions
from taesd_stream.latents.source import Store
from video.claimed_size import MOST_INFLATED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from taesd_stream.latents.raw_store import StoredBytes
    from taesd_stream.latents.source import StoredSource

__all__ = ["LIMIT", "PNG_MAGIC", "open_png", "write_png"]

PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
LIMIT: Final = 3.0
"""The largest magnitude that 8-bit latents can have."""

_IHDR: Final = struct.Struct(">8x4x4sIIBB")
_CHUNK: Final = struct.Struct(">I4s")
_SUM_BYTES: Final = 4
_BYTES_PER_PIXEL: Final = 4 + 4 * 4
"""As it is read, and as float32."""
_RGBA: Final = 6
_OF_A_TILE: Final = 4
"""Channels."""


def open_png(file_bytes: StoredBytes, options: ReadOptions) -> StoredSource:
    """A source for one 8-bit RGBA PNG: a float32 latent (4, h, w) within [-3, 3].

    Where ``options`` ask for more channels, k times as many, the picture is (k h, w).

    Raises:
        LatentsError: the PNG is not RGBA with 8 bits, or broken, or the numbers of its pixels show
            that it is a picture, and no layout says otherwise. Of several only the first one is
            looked at here; the others are when they are read.
    """
    store = _PngStore(file_bytes, options)
    if options.alike is None and not store.is_surely_latents:
        store.levels()
    return open_store(
        store,
        options.without_key(file_bytes.name),
        name=file_bytes.name,
        kind="an 8-bit PNG",
    )


def write_png(path: Path, latent: torch.Tensor, index: int, *, overwrite: bool) -> int:
    """Write a latent (4 k, h, w) as an 8-bit PNG; returns how many values lay beyond [-3, 3].

    Raises:
        NonFiniteError: ``latent``, which is number ``index``, holds NaN or infinity.
        InputError: the latent has not a multiple of four channels, or the file cannot be made.
    """
    from video.images import write_image

    if latent.ndim != 3 or latent.shape[0] % _OF_A_TILE:
        raise LatentsError(
            f"expected latents (4 k, h, w) for a PNG, found shape {tuple(latent.shape)}: "
            "write .safetensors instead"
        )
    check_finite(latent, index)
    numbers = latent.float()
    clipped = int((numbers.abs() > LIMIT).sum())
    levels = (numbers.clamp(-LIMIT, LIMIT) / (2 * LIMIT) + 0.5).mul(255).round().byte()
    picture = rearrange(levels, "(K C) H W -> (K H) W C", C=_OF_A_TILE).contiguous().numpy()
    write_image(path, picture, overwrite=overwrite)
    return clipped


class _PngStore(Store):
    """One picture as a (4 k, h, w) array, decoded at each read."""

    def __init__(self, file_bytes: StoredBytes, options: ReadOptions) -> None:
        head = file_bytes.head(_IHDR.size)
        if len(head) < _IHDR.size:
            raise LatentsError(f"{file_bytes.name}: expected a PNG, found {len(head)} bytes of one")
        chunk, width, height, bits, colours = _IHDR.unpack(head)
        if chunk != b"IHDR" or (bits, colours) != (8, _RGBA):
            raise LatentsError(
                f"{file_bytes.name}: expected latents as an RGBA PNG of 8 bits, found colour type "
                f"{colours} with {bits} bits: a picture is encoded first, latents are not"
            )
        if height * (1 + 4 * width) > MOST_INFLATED * file_bytes.size:
            raise LatentsError(
                f"{file_bytes.name}: expected a whole PNG, found {file_bytes.size} bytes for "
                f"{width}x{height} pixels: copy or save it anew"
            )
        _require_chunks_inside(file_bytes)
        require_memory(_BYTES_PER_PIXEL * height * width, f"the pixels of {file_bytes.name}")
        self._tiles = _tiles_of(height, options, file_bytes.name)
        self.shape = (_OF_A_TILE * self._tiles, height // self._tiles, width)
        self.dtype = torch.float32
        self.is_surely_latents = options.layout is not None
        self._file = file_bytes

    def copy_to(self, out: torch.Tensor, index: Sequence[slice]) -> None:
        stacked = torch.from_numpy(self.levels())
        levels = rearrange(stacked, "(K H) W C -> (K C) H W", K=self._tiles)
        out.copy_(((levels.float() / 255 - 0.5) * (2 * LIMIT))[tuple(index)])

    def levels(self) -> NDArray[np.uint8]:
        """The picture, (k h, w, 4); refused where none of its tiles is a latent."""
        from video.errors import InputError
        from video.images import decode_image

        with self._file.open() as file:
            content = file.read()
        try:
            picture = decode_image(content, Path(self._file.name))
        except InputError as error:
            raise LatentsError(f"{self._file.name}: broken PNG: {error}") from error
        if self.is_surely_latents:
            return picture
        for_tiles = [picture_instead(tile) for tile in np.split(picture, self._tiles)]
        because = for_tiles[0] if all(for_tiles) else noise_instead(picture)
        if because is not None:
            raise LatentsError(
                f"{self._file.name}: expected latents, found a picture with transparency "
                f"({because}): encode it first, or give --layout CHW (layout= in Python) if it "
                "is latents"
            )
        return picture


def _tiles_of(height: int, options: ReadOptions, name: str) -> int:
    """How many pictures of four channels lie one below the other."""
    channels = options.channels or frozenset([_OF_A_TILE])
    if _OF_A_TILE in channels or len(channels) > 1:
        return 1
    (wanted,) = channels
    tiles, rest = divmod(wanted, _OF_A_TILE)
    if rest or height % tiles:
        raise LatentsError(
            f"{name}: expected latents of {wanted} channels, which are {wanted / _OF_A_TILE:g} "
            f"pictures one below the other, found {height} rows: give the model of these latents"
        )
    return tiles


def _require_chunks_inside(file_bytes: StoredBytes) -> None:
    """Refuse a PNG whose chunks claim to be longer than the file: readers would make room first."""
    place = len(PNG_MAGIC)
    with file_bytes.open() as file:
        file.seek(place)
        while len(head := file.read(_CHUNK.size)) == _CHUNK.size:
            length, kind = _CHUNK.unpack(head)
            place += _CHUNK.size + length + _SUM_BYTES
            if place > file_bytes.size:
                raise LatentsError(
                    f"{file_bytes.name}: broken PNG: expected {length} bytes of {kind!r}, found "
                    "fewer: copy or save it anew"
                )
            if kind == b"IEND":
                return
            file.seek(place)
