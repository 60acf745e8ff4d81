"""Videos that are turned and mirrored by their matrix, as phones and front cameras store them."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from taesd_stream.cli.main import main
from video import InputError, open_reader, open_writer, write_image
from video.orientation import Orientation

_SIZE = (48, 32)
# a b c d of (x, y) -> (a x + c y, b x + d y), x to the right and y down, and what numpy makes of
# the same.
MATRICES = {
    "upright": ((1, 0, 0, 1), lambda image: image),
    "turned right": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "upside down": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "turned left": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "mirrored": ((-1, 0, 0, 1), np.fliplr),
    "flipped": ((1, 0, 0, -1), np.flipud),
    "transposed": ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    "transposed the other way": ((0, -1, -1, 0), lambda image: np.rot90(image, 2).swapaxes(0, 1)),
}


def picture() -> np.ndarray:
    """Four colours in the quarters, so that no orientation looks like another."""
    width, height = _SIZE
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (220, 30, 30)
    image[: height // 2, width // 2 :] = (30, 220, 30)
    image[height // 2 :, : width // 2] = (30, 30, 220)
    image[height // 2 :, width // 2 :] = (220, 220, 220)
    return image


def turned(path: Path, matrix: tuple[float, ...]) -> Path:
    """An mp4 of one frame whose track has this matrix."""
    width, height = _SIZE
    with open_writer(path, width=width, height=height) as writer:
        for _ in range(2):
            writer.write(picture())
    data = bytearray(path.read_bytes())
    start = data.find(b"tkhd") + 4
    place = start + (52 if data[start] else 40)
    a, b, c, d = (round(each * 65536) for each in matrix)
    origin = (width << 16 if min(a, c) < 0 else 0, height << 16 if min(b, d) < 0 else 0)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, *origin, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_is_followed(name: str, tmp_path: Path) -> None:
    matrix, shown = MATRICES[name]
    with open_reader(turned(tmp_path / "a.mp4", matrix)) as reader:
        expected = shown(picture())
        assert (reader.height, reader.width) == expected.shape[:2]
        image = next(iter(reader)).image
    assert np.abs(image.astype(int) - expected).mean() < 6


def test_a_mirrored_video_is_encoded_mirrored(tmp_path: Path) -> None:
    """The whole way: the latents' picture has the colours where a player shows them."""
    matrix, shown = MATRICES["mirrored"]
    path = turned(tmp_path / "a.mp4", matrix)
    latents, out = str(tmp_path / "z.npy"), str(tmp_path / "out.npy")
    assert main(["encode", str(path), latents, "--model", "nano", "--backend", "torch"]) == 0
    assert main(["decode", latents, out, "--model", "nano", "--backend", "torch"]) == 0
    made = np.load(out)[0].astype(int)
    corners = np.s_[8:24:12, 12:40:24]
    assert np.abs(made[corners] - shown(picture())[corners]).mean() < 40


def test_a_slant_is_told(tmp_path: Path) -> None:
    path = turned(tmp_path / "a.mp4", (0.7, 0.7, -0.7, 0.7))
    with open_reader(path) as reader:
        list(reader)
        assert "no quarter turn" in " ".join(reader.notes)


@pytest.mark.parametrize("tag", range(1, 9))
def test_tags_of_exif_are_those_of_pillow(tag: int) -> None:
    from PIL import ImageOps

    image = Image.fromarray(picture())
    exif = image.getexif()
    exif[0x0112] = tag
    image.info["exif"] = exif.tobytes()
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(Orientation.of_exif(tag).applied(picture()), expected)


@pytest.mark.parametrize("name", ["a.png", "a.avi", "a.mov"])
def test_exif_of_an_animation_and_of_motion_jpeg(name: str, tmp_path: Path) -> None:
    """Cameras write it into every frame, and an APNG has it once."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    image = Image.fromarray(picture())
    if name == "a.png":
        other = image.copy()
        other.putpixel((0, 0), (0, 0, 0))  # equal frames are made one
        image.save(tmp_path / name, save_all=True, append_images=[other, image], exif=exif)
    else:
        image.save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
        with av.open(tmp_path / name, "w") as container:
            stream = container.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = *_SIZE, "yuvj444p"
            for number in range(3):
                packet = av.Packet((tmp_path / "a.jpg").read_bytes())
                packet.pts = packet.dts = number
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                container.mux(packet)
    with open_reader(tmp_path / name) as reader:
        found = [frame.image for frame in reader]
    assert len(found) == 3
    for each in found:
        assert np.abs(each.astype(int) - np.rot90(picture(), -1)).mean() < 4


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    """A Matroska file with a picture of its cover, which FFmpeg makes a stream of pictures."""
    path = tmp_path / "a.mkv"
    write_image(tmp_path / "cover.jpg", np.zeros((16, 16, 3), np.uint8))
    with av.open(path, "w") as container:
        art = (tmp_path / "cover.jpg").read_bytes()
        container.add_attachment("cover.jpg", "image/jpeg", art)
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = *_SIZE, "yuv420p"
        frame = av.VideoFrame.from_ndarray(picture(), "rgb24")
        for packet in (*video.encode(frame), *video.encode(None)):
            container.mux(packet)
    with av.open(path) as container:
        assert len(container.streams.video) == 2
    with open_reader(path) as reader:
        assert (reader.width, reader.height) == _SIZE


def test_cover_art_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_image(tmp_path / "cover.jpg", np.zeros((16, 16, 3), np.uint8))
    with av.open(path, "w") as container:
        art = (tmp_path / "cover.jpg").read_bytes()
        container.add_attachment("cover.jpg", "image/jpeg", art)
        sound = container.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), "s16", "mono")
        silence.sample_rate = 8000
        for packet in (*sound.encode(silence), *sound.encode(None)):
            container.mux(packet)
    with pytest.raises(InputError, match="found cover art only"):
        open_reader(path)
