from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from video import InputError, VideoReader, VideoWriter, write_image


def write(path: Path, count: int = 3, size: tuple[int, int] = (32, 16)) -> Path:
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (255, 255, 255)
    with VideoWriter(path, width=width, height=height, rate=24) as writer:
        for _ in range(count):
            writer.write(image)
    return path


def turned(source: Path, target: Path, matrix: tuple[int, ...]) -> Path:
    """A copy of an .mp4 whose track header asks for the display ``matrix``."""
    data = bytearray(source.read_bytes())
    start = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 2 + 2 + 2 + 2
    for index, value in enumerate(matrix):
        data[start + 4 * index : start + 4 * index + 4] = value.to_bytes(4, "big", signed=True)
    target.write_bytes(data)
    return target


ONE = 1 << 16
UNIT = 1 << 30


@pytest.mark.parametrize(
    ("matrix", "corner", "size"),
    [
        ((ONE, 0, 0, 0, ONE, 0, 0, 0, UNIT), "top left", (32, 16)),
        ((0, ONE, 0, -ONE, 0, 0, 0, 0, UNIT), "top right", (16, 32)),
        ((-ONE, 0, 0, 0, -ONE, 0, 0, 0, UNIT), "bottom right", (32, 16)),
        ((0, -ONE, 0, ONE, 0, 0, 0, 0, UNIT), "bottom left", (16, 32)),
    ],
)
def test_pictures_are_turned_as_the_file_asks(
    tmp_path: Path, matrix: tuple[int, ...], corner: str, size: tuple[int, int]
) -> None:
    path = turned(write(tmp_path / "a.mp4"), tmp_path / "b.mp4", matrix)
    with VideoReader(path) as reader:
        assert (reader.width, reader.height) == size
        image = next(iter(reader)).image
    assert image.shape == (size[1], size[0], 3)
    row = {"top": 2, "bottom": -3}[corner.split(maxsplit=1)[0]]
    column = {"left": 2, "right": -3}[corner.split()[1]]
    assert image[row, column].mean() > 200
    assert image.mean() < 80


@pytest.mark.parametrize(
    "content",
    [b"", b"not a video", b"\0" * 5000, b"RIFF\x10\0\0\0WEBP", b"GIF89a"],
    ids=["empty", "text", "zeros", "webp", "gif"],
)
def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        VideoReader(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_video_cut_short_is_refused(tmp_path: Path) -> None:
    data = write(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data[: data.index(b"moov")])
    with pytest.raises(InputError, match=r"b\.mp4"):
        VideoReader(tmp_path / "b.mp4")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no such file"):
        VideoReader(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="found a folder"):
        VideoReader(tmp_path)


def test_playlists_cannot_reach_for_other_files(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.mp4").name
    playlists = {
        "a.mp4": f"ffconcat version 1.0\nfile {secret}\n",
        "b.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
    }
    for name, text in playlists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="cannot read"):
            VideoReader(tmp_path / name)


def test_a_sound_is_no_video(tmp_path: Path) -> None:
    import wave

    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\0\0" * 800)
    with pytest.raises(InputError, match="found no pictures"):
        VideoReader(tmp_path / "a.wav")


def test_reading_may_stop_early(tmp_path: Path) -> None:
    with VideoReader(write(tmp_path / "a.mp4", count=20)) as reader:
        for frame in reader:
            if frame.index == 2:
                break
    reader.close()


def test_a_real_clip(shared: Path) -> None:
    with VideoReader(shared / "media" / "clip.mp4") as reader:
        assert reader.frame_count == 81
        frame = next(iter(reader))
    assert frame.image.shape == (reader.height, reader.width, 3)
    assert frame.image.std() > 10


@pytest.mark.skipif(not hasattr(cv2, "imwriteanimation"), reason="OpenCV before 4.11")
def test_animated_webp_of_another_make(tmp_path: Path) -> None:
    """OpenCV's writer stores only the part of a frame that changed, and blends it in."""
    frames = []
    for index in range(4):
        image = np.full((40, 48, 4), 255, np.uint8)
        image[8 : 8 + 4 * index, 10:20, :3] = (10, 20, 200)
        frames.append(image)
    animation = cv2.Animation()
    animation.frames = frames
    animation.durations = [100, 50, 40, 30]
    options = [cv2.IMWRITE_WEBP_QUALITY, 101]
    assert cv2.imwriteanimation(str(tmp_path / "a.webp"), animation, options)
    with VideoReader(tmp_path / "a.webp") as reader:
        assert (reader.width, reader.height, reader.frame_count) == (48, 40, 4)
        assert reader.duration_seconds == Fraction(220, 1000)
        for sent, time, frame in zip(frames, (0, 100, 150, 190), reader, strict=True):
            assert frame.pts_seconds == Fraction(time, 1000)
            assert np.abs(frame.image[..., ::-1].astype(int) - sent[..., :3]).max() <= 1


def animated_webp(path: Path, frames: list[tuple[np.ndarray, int, int, int]]) -> Path:
    """An 8x8 animation put together by hand: (RGBA image, x, y, flags) of each frame."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return kind + len(content).to_bytes(4, "little") + content + b"\0" * (len(content) % 2)

    body = chunk(b"VP8X", b"\x12\0\0\0" + b"\7\0\0" * 2) + chunk(b"ANIM", bytes(6))
    for index, (image, x, y, flags) in enumerate(frames):
        still = write_image(path.with_name(f"{index}.webp"), image, lossless=True).read_bytes()
        content = still[12:]
        if content.startswith(b"VP8X"):
            content = content[18:]
        height, width = image.shape[:2]
        numbers = (x // 2, y // 2, width - 1, height - 1, 40)
        header = b"".join(number.to_bytes(3, "little") for number in numbers)
        body += chunk(b"ANMF", header + bytes([flags]) + content)
    path.write_bytes(b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body)
    return path


def test_webp_frames_are_blended_replaced_and_disposed_of(tmp_path: Path) -> None:
    red = np.full((8, 8, 4), (200, 0, 0, 255), np.uint8)
    half_blue = np.full((4, 4, 4), (0, 0, 200, 128), np.uint8)
    green = np.full((2, 2, 4), (0, 200, 0, 255), np.uint8)
    dispose, replace = 1, 2
    path = animated_webp(
        tmp_path / "a.webp",
        [
            (red, 0, 0, 0),
            (half_blue, 2, 2, 0),
            (half_blue, 2, 2, replace | dispose),
            (green, 0, 0, 0),
        ],
    )
    with VideoReader(path) as reader:
        images = [frame.image for frame in reader]
    assert [tuple(image[0, 7]) for image in images] == [(200, 0, 0)] * 4
    assert tuple(images[0][3, 3]) == (200, 0, 0)
    assert np.abs(images[1][3, 3].astype(int) - (100, 0, 100)).max() <= 1, "blended over red"
    assert tuple(images[2][3, 3]) == (127, 127, 227), "replaces it, over white"
    assert tuple(images[3][3, 3]) == (255, 255, 255), "its area was cleared afterwards"
    assert tuple(images[3][1, 1]) == (0, 200, 0)


def test_a_webp_frame_outside_its_canvas_is_refused(tmp_path: Path) -> None:
    path = animated_webp(tmp_path / "a.webp", [(np.zeros((4, 4, 4), np.uint8), 6, 0, 0)])
    with pytest.raises(InputError, match="is it damaged"), VideoReader(path) as reader:
        list(reader)


def test_a_damaged_webp_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    rng = np.random.default_rng(0)
    with VideoWriter(path, width=16, height=16, rate=10) as writer:
        for _ in range(3):
            writer.write(rng.integers(0, 256, (16, 16, 3), np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"ANMF") + 12])
    with pytest.raises(InputError, match="is it damaged"):
        VideoReader(path)
    path.write_bytes(data[: data.rindex(b"ANMF") + 30])
    with pytest.raises(InputError), VideoReader(path) as reader:
        list(reader)


@pytest.mark.parametrize("side", [16384, 1 << 24])
def test_a_webp_that_claims_a_huge_canvas_is_refused(tmp_path: Path, side: int) -> None:
    path = animated_webp(tmp_path / "a.webp", [(np.zeros((4, 4, 4), np.uint8), 0, 0, 0)] * 2)
    data = bytearray(path.read_bytes())
    data[24:30] = 2 * (side - 1).to_bytes(3, "little")
    path.write_bytes(data)
    with pytest.raises(InputError, match="claims too large a canvas") as caught:
        VideoReader(path)
    assert "\n" not in str(caught.value)


def test_one_frame_that_stays_for_a_time_is_an_animation(tmp_path: Path) -> None:
    path = animated_webp(tmp_path / "a.webp", [(np.full((8, 8, 4), 255, np.uint8), 0, 0, 0)])
    with VideoReader(path) as reader:
        assert (reader.frame_count, reader.duration_seconds) == (1, Fraction(40, 1000))
        (frame,) = reader
    assert frame.image.tolist() == np.full((8, 8, 3), 255).tolist()
