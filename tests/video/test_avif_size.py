"""What an AVIF has coded, as its writers know it, and what it may claim."""

from __future__ import annotations

import struct
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from video import InputError, open_reader, read_image
from video.av1_size import av1_size
from video.avif_size import check_size

WIDTH, HEIGHT = 62, 34
TILE = 64
"""The side of the smallest tiles that a grid may have."""


def by_pillow(mode: str, size: tuple[int, int] = (WIDTH, HEIGHT), **options: object) -> bytes:
    file = BytesIO()
    others = [Image.new(mode, size, 9)] if "save_all" in options else []
    Image.new(mode, size).save(file, "AVIF", append_images=others, **options)
    return file.getvalue()


def by_opencv() -> bytes:
    written, data = cv2.imencode(".avif", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert written
    return data.tobytes()


def by_pyvips() -> bytes:
    pyvips = pytest.importorskip("pyvips")
    black = pyvips.Image.black(WIDTH, HEIGHT, bands=3)
    return bytes(black.heifsave_buffer(compression="av1"))


def check_exactly(data: bytes, width: int, height: int) -> None:
    check_size((width, height), "AVIF", data, Path("a.avif"))
    with pytest.raises(InputError, match=f" {width * height} are coded in it"):
        check_size((width + 1, height), "AVIF", data, Path("a.avif"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("options", [{}, {"save_all": True}], ids=["still", "animated"])
def test_what_pillow_has_coded(options: dict[str, object], mode: str) -> None:
    check_exactly(by_pillow(mode, **options), WIDTH, HEIGHT)


@pytest.mark.parametrize("write", [by_opencv, by_pyvips])
def test_what_others_have_coded(write: object) -> None:
    assert callable(write)
    check_exactly(write(), WIDTH, HEIGHT)


@pytest.mark.parametrize("size", [(64, 64), (322, 242), (66, 130)], ids=str)
def test_the_sequence_header_of_a_video(size: tuple[int, int]) -> None:
    """Not the short one of stills."""
    encoder = av.CodecContext.create("libsvtav1", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 24)
    packets = [*encoder.encode(av.VideoFrame(*size, "yuv420p")), *encoder.encode(None)]
    assert av1_size(bytes(packets[0])) == size


def grid(columns: int, rows: int, width: int, height: int) -> bytes:
    """Pillow's tile many times over, put together by boxes that are written here."""
    tile = by_pillow("RGB", (TILE, TILE))
    coded = tile[tile.index(b"mdat") + 4 :]
    configuration = tile[tile.index(b"av1C") - 4 :][:12]
    count = columns * rows
    layout = struct.pack(">4B2H", 0, 0, rows - 1, columns - 1, width, height)

    def box(kind: bytes, *parts: bytes) -> bytes:
        return struct.pack(">I", 8 + sum(map(len, parts))) + kind + b"".join(parts)

    def numbers(layout: str, *values: int) -> bytes:
        return struct.pack(f">{layout}", *values)

    kinds = [(1, b"grid"), *((2 + index, b"av01") for index in range(count))]
    infe = [box(b"infe", numbers("IHH", 2 << 24, each, 0), kind, b"\0") for each, kind in kinds]
    sizes = [box(b"ispe", numbers("III", 0, *size)) for size in ((width, height), (TILE, TILE))]
    depth = box(b"pixi", numbers("I4B", 0, 3, 8, 8, 8))
    used = [numbers("H3B", 1, 2, 1, 4)]
    used += [numbers("H4B", 2 + index, 3, 2, 3 | 0x80, 4) for index in range(count)]

    def head(start: int) -> bytes:
        places = [numbers("HHHII", 1, 0, 1, start, len(layout))]
        for index in range(count):
            places.append(numbers("HHHII", 2 + index, 0, 1, start + len(layout), len(coded)))
        return box(b"ftyp", b"avif\0\0\0\0avifmif1miaf") + box(
            b"meta",
            bytes(4),
            box(b"hdlr", bytes(8), b"pict", bytes(13)),
            box(b"pitm", numbers("IH", 0, 1)),
            box(b"iloc", numbers("I2BH", 0, 0x44, 0, 1 + count), *places),
            box(b"iinf", numbers("IH", 0, len(infe)), *infe),
            box(
                b"iref",
                bytes(4),
                box(
                    b"dimg",
                    numbers("HH", 1, count),
                    *(numbers("H", 2 + index) for index in range(count)),
                ),
            ),
            box(
                b"iprp",
                box(b"ipco", *sizes, configuration, depth),
                box(b"ipma", numbers("II", 0, 1 + count), *used),
            ),
        )

    start = len(head(0)) + 8
    return head(start) + box(b"mdat", layout, coded)


def test_the_tiles_of_a_grid_are_added_up(tmp_path: Path) -> None:
    data = grid(3, 2, 3 * TILE - 4, 2 * TILE - 2)
    (tmp_path / "a.avif").write_bytes(data)
    assert read_image(tmp_path / "a.avif").shape == (2 * TILE - 2, 3 * TILE - 4, 3)
    check_exactly(data, 3 * TILE, 2 * TILE)


def coding(width: int, height: int) -> bytes:
    """A still whose sequence header has another size, of 14 bits each: 2 bytes more."""
    data = by_pillow("RGB")
    place = data.index(b"\x12\0\x0a") + 3
    length = data[place]
    bits = "".join(f"{octet:08b}" for octet in data[place + 1 :][:length])
    start = 3 + 1 + 1 + 5  # behind the profile and the level
    assert bits[start : start + 20] == f"{5:04b}{5:04b}{WIDTH - 1:06b}{HEIGHT - 1:06b}"
    bits = f"{bits[:start]}{13:04b}{13:04b}{width - 1:014b}{height - 1:014b}{bits[start + 20 :]}"
    header = int(bits, 2).to_bytes(length + 2, "big")
    longer = data[:place] + bytes((length + 2,)) + header + data[place + 1 + length :]
    mdat = data.index(b"mdat") - 4
    old = struct.pack(">I", len(data) - mdat - 8)
    assert old in data[:mdat]
    longer = longer[:mdat].replace(old, struct.pack(">I", len(longer) - mdat - 8)) + longer[mdat:]
    return (
        longer[:mdat].replace(struct.pack(">II", WIDTH, HEIGHT), struct.pack(">II", width, height))
        + struct.pack(">I", len(longer) - mdat)
        + longer[mdat + 4 :]
    )


def test_much_black_is_coded_in_few_bytes() -> None:
    data = coding(12_000, 10_000)
    assert len(data) < 400
    check_exactly(data, 12_000, 10_000)


def test_what_codes_another_size_than_its_frames_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.avif").write_bytes(coding(2_000, 1_800))
    with pytest.raises(InputError, match="cannot read"), open_reader(tmp_path / "a.avif") as reader:
        list(reader)


@pytest.mark.parametrize("length", range(40, 400, 12))
def test_a_part_of_a_file_tells_no_more(length: int) -> None:
    data = by_pillow("RGBA")[:length]
    if len(data) == length:
        check_size((WIDTH, HEIGHT), "AVIF", data, Path("a.avif"))
