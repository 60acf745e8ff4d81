"""Transparent pictures and videos are laid over one colour, whatever file they come in."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from PIL import Image

from video import open_reader
from video.transparency import Transparency

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture
def cutout() -> NDArray[np.uint8]:
    """(16, 32, 4): two ramps; opaque, half transparent and invisible columns."""
    picture = np.zeros((16, 32, 4), np.uint8)
    picture[..., 0] = np.arange(32) * 8
    picture[..., 1] = np.arange(16)[:, None] * 8
    picture[..., 3] = np.repeat([255, 128, 0, 255], 8)
    return picture


def composed(picture: NDArray[np.uint8], background: str = "white") -> NDArray[np.uint8]:
    """What Pillow makes of a picture over a colour."""
    image = Image.fromarray(picture)
    under = Image.new("RGBA", image.size, background)
    return np.asarray(Image.alpha_composite(under, image).convert("RGB"))


def save_animation(path: Path, picture: NDArray[np.uint8]) -> None:
    """Two frames, the second of which has its rows reversed."""
    frames = [Image.fromarray(each) for each in (picture, picture[::-1])]
    more = {"lossless": True} if path.suffix == ".webp" else {"disposal": 2}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, **more)


def save_video(
    path: Path, codec: str, pixel_format: str, picture: NDArray[np.uint8], **options: str
) -> None:
    """Two frames of it by FFmpeg."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = pixel_format
        for index in range(2):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba").reformat(format=pixel_format)
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


VIDEOS = {
    "png.mov": ("png", "rgba", {}, 1),
    "qtrle.mov": ("qtrle", "argb", {}, 1),
    "ffv1.mkv": ("ffv1", "bgra", {}, 1),
    "ffv1_planes.mkv": ("ffv1", "yuva444p", {}, 3),
    "prores.mov": ("prores_ks", "yuva444p10le", {"profile": "4444"}, 3),
    "vp9.webm": ("libvpx-vp9", "yuva420p", {"crf": "4", "b": "0"}, 12),
    "vp8.webm": ("libvpx", "yuva420p", {"auto-alt-ref": "0", "crf": "4", "b": "4M"}, 12),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_the_alpha_of_a_video_is_laid_over_white(
    tmp_path: Path, cutout: NDArray[np.uint8], name: str
) -> None:
    codec, pixel_format, options, tolerance = VIDEOS[name]
    save_video(tmp_path / name, codec, pixel_format, cutout, **options)
    with open_reader(tmp_path / name) as reader:
        frames = list(reader)
        assert reader.notes == (f"{name}: what is transparent was laid over white",)
    assert [frame.pts_seconds for frame in frames] == [0, Fraction(1, 10)]
    # Within the blocks: chroma of half the size runs over at their edges.
    difference = np.abs(frames[0].image.astype(int) - composed(cutout))[2:-2]
    columns = [column for column in range(32) if 1 < column % 8 < 6]
    assert difference[:, columns].max() <= tolerance


def test_an_animated_webp_is_laid_over_white(tmp_path: Path, cutout: NDArray[np.uint8]) -> None:
    cutout[:4, :, 3] = 0
    save_animation(tmp_path / "a.webp", cutout)
    with open_reader(tmp_path / "a.webp") as reader:
        first, second = [frame.image for frame in reader]
        assert reader.notes == ("a.webp: what is transparent was laid over white",)
    np.testing.assert_array_equal(first, composed(cutout))
    np.testing.assert_array_equal(second, composed(cutout[::-1]))


def test_a_transparent_gif_is_laid_over_white(tmp_path: Path, cutout: NDArray[np.uint8]) -> None:
    cutout[..., 3] = np.where(cutout[..., 3] > 200, 255, 0)
    save_animation(tmp_path / "a.gif", cutout)
    with open_reader(tmp_path / "a.gif") as reader:
        first = next(iter(reader)).image
        assert reader.notes
    np.testing.assert_array_equal(first[:, 8:24], np.full((16, 16, 3), 255))
    assert np.abs(first.astype(int) - composed(cutout)).max() <= 16  # of a palette


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_stills_follow_the_same_rule(tmp_path: Path, cutout: NDArray[np.uint8], name: str) -> None:
    more = {"lossless": True, "exact": True} if name == "a.webp" else {}
    Image.fromarray(cutout).save(tmp_path / name, **more)
    with open_reader(tmp_path / name) as reader:
        image = next(iter(reader)).image
        assert reader.notes == (f"{name}: what is transparent was laid over white",)
    np.testing.assert_array_equal(image, composed(cutout))
    purple = Transparency(background=(128, 0, 128))
    with open_reader(tmp_path / name, transparency=purple) as reader:
        image = next(iter(reader)).image
        assert reader.notes == (f"{name}: what is transparent was laid over #800080",)
    np.testing.assert_array_equal(image, composed(cutout, "purple"))


def test_alpha_is_kept_where_that_is_asked_for(tmp_path: Path, cutout: NDArray[np.uint8]) -> None:
    kept = Transparency(is_kept=True)
    save_animation(tmp_path / "a.webp", cutout)
    Image.fromarray(cutout).save(tmp_path / "0.png")
    Image.fromarray(cutout[..., :3]).save(tmp_path / "1.png")
    save_video(tmp_path / "a.mov", "png", "rgba", cutout)
    for name in ("a.webp", "a.mov", "%d.png"):
        with open_reader(tmp_path / name, transparency=kept) as reader:
            first, second = [frame.image for frame in reader]
            assert reader.notes == ()
        np.testing.assert_array_equal(first[..., 3], cutout[..., 3])
        assert second.shape == (16, 32, 4)
        assert (second[..., 3] == (255 if name == "%d.png" else cutout[..., 3])).all()


def test_of_opaque_pictures_nothing_is_said(tmp_path: Path, cutout: NDArray[np.uint8]) -> None:
    cutout[..., 3] = 255
    save_animation(tmp_path / "a.webp", cutout)
    Image.fromarray(cutout).save(tmp_path / "a.png")
    for name in ("a.webp", "a.png"):
        with open_reader(tmp_path / name) as reader:
            image = next(iter(reader)).image
            assert reader.notes == ()
        np.testing.assert_array_equal(image, cutout[..., :3])
