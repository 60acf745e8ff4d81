"""Transparency is kept in what can hold it: read back by Pillow, tifffile, and libvpx in PyAV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image

from video import InputError, join_segments, open_reader, open_writer
from video.large.disk_space import needed_bytes
from video.large.pyramid import Pyramid
from video.large.writing import open_rows
from video.transparency import Transparency

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH, HEIGHT = 47, 33


@pytest.fixture
def ramps() -> NDArray[np.uint8]:
    """(33, 47, 4): colours and alpha that change slowly."""
    picture = np.full((HEIGHT, WIDTH, 4), 90, np.uint8)
    picture[..., 0] = np.arange(WIDTH) * 5
    picture[..., 1] = np.arange(HEIGHT)[:, None] * 7
    picture[..., 3] = np.minimum(np.arange(WIDTH) * 6, 255)
    return picture


def first_frame(path: Path) -> NDArray[np.uint8]:
    """(H, W, 4) by the decoder that knows about alpha."""
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        vpx: Any = av.CodecContext.create("libvpx-vp9", "r")
        reader = vpx if stream.codec_context.name == "vp9" else stream
        frames = [each for packet in container.demux(stream) for each in reader.decode(packet)]
        shown = frames[0].reformat(format="rgba", src_colorspace=1)
        return np.asarray(shown.to_ndarray())[:HEIGHT, :WIDTH]


VIDEOS = {
    "a.webm": (None, False, 12, 3),
    "vp9.mkv": ("vp9", False, 12, 3),
    "a.mov": ("prores4444", False, 3, 1),
    "ffv1.mkv": ("ffv1", False, 0, 0),
    "lossless.mkv": (None, True, 0, 0),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_videos_keep_alpha(tmp_path: Path, ramps: NDArray[np.uint8], name: str) -> None:
    codec, lossless, colors_off, alpha_off = VIDEOS[name]
    path = tmp_path / name
    size = {"width": WIDTH, "height": HEIGHT}
    with open_writer(path, **size, codec=codec, lossless=lossless, alpha=True) as writer:
        writer.write(ramps)
        writer.write(ramps)
    off = np.abs(first_frame(path).astype(int) - ramps)
    assert off[..., 3].max() <= alpha_off
    assert off[..., :3].max() <= colors_off
    with open_reader(path, transparency=Transparency(is_kept=True)) as reader:
        frames = [frame.image for frame in reader]
    assert len(frames) == 2
    assert np.abs(frames[1].astype(int) - ramps)[..., 3].max() <= alpha_off


@pytest.mark.parametrize("lossless", [False, True])
def test_animated_webp_keeps_alpha(
    tmp_path: Path, ramps: NDArray[np.uint8], lossless: bool
) -> None:
    path = tmp_path / "a.webp"
    size = {"width": WIDTH, "height": HEIGHT}
    with open_writer(path, **size, lossless=lossless, alpha=True) as writer:
        writer.write(ramps)
        writer.write(np.ascontiguousarray(ramps[::-1]))
    with Image.open(path) as image:
        assert image.n_frames == 2  # type: ignore[attr-defined]
        image.seek(1)
        seen = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(seen[..., 3], ramps[::-1, :, 3])
    visible = seen[..., 3] > 0
    off = np.abs(seen.astype(int) - ramps[::-1])[visible]
    assert off.max() <= (0 if lossless else 12)


@pytest.mark.parametrize(("name", "codec"), [("a.webm", None), ("a.mov", "prores4444")])
def test_joined_segments_keep_alpha(
    tmp_path: Path, ramps: NDArray[np.uint8], name: str, codec: str | None
) -> None:
    parts = [tmp_path / f"{number}_{name}" for number in range(2)]
    for part in parts:
        with open_writer(part, width=WIDTH, height=HEIGHT, codec=codec, alpha=True) as writer:
            writer.write(ramps)
    joined = join_segments(parts, tmp_path / name, rate=24)
    with open_reader(joined, transparency=Transparency(is_kept=True)) as reader:
        alphas = [frame.image[..., 3].astype(int) for frame in reader]
    assert len(alphas) == 2
    assert max(np.abs(alpha - ramps[..., 3]).max() for alpha in alphas) <= 3


@pytest.mark.parametrize(
    ("name", "codec", "lossless", "said"),
    [
        ("a.mp4", None, False, "'h264' cannot keep transparency; those that can: vp9, prores4444"),
        ("a.mp4", "vp9", False, "vp9 in .mp4 keeps no transparency: write .webm, .mkv"),
        ("a.webm", None, True, "'vp9' cannot keep transparency"),
    ],
)
def test_others_are_refused(
    tmp_path: Path, name: str, codec: str | None, lossless: bool, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        open_writer(tmp_path / name, width=8, height=8, codec=codec, lossless=lossless, alpha=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "compression"),
    [("a.tif", None), ("a.tif", "none"), ("a.png", None), ("a.npy", None)],
)
def test_rows_with_alpha(tmp_path: Path, name: str, compression: str | None) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (700, 530, 4), np.uint8)
    path, size = tmp_path / name, {"width": 530, "height": 700}
    with open_rows(path, **size, compression=compression, alpha=True) as writer:
        writer.write(pixels[:300])
        writer.write(pixels[300:])
    stored = np.load(path)[0] if name == "a.npy" else np.asarray(Image.open(path))
    np.testing.assert_array_equal(stored, pixels)
    most = needed_bytes(path, **size, compression=compression, alpha=True)
    assert path.stat().st_size <= most
    if name == "a.tif":
        tifffile = pytest.importorskip("tifffile")
        with tifffile.TiffFile(path) as file:
            assert tuple(file.pages[0].extrasamples) == (2,)
            half = file.pages[0].pages[0].asarray()
        assert half.shape == (350, 265, 4)
        block = pixels[:2, :2].reshape(4, 4).astype(float)
        alpha = block[:, 3]
        expected = (block[:, :3] * alpha[:, None]).sum(0) / alpha.sum()
        assert np.abs(half[0, 0] - [*expected, alpha.mean()]).max() <= 0.5


@pytest.mark.parametrize(("name", "compression"), [("a.tif", "jpeg"), ("a.dzi", "png")])
def test_rows_that_hold_no_alpha(tmp_path: Path, name: str, compression: str) -> None:
    with pytest.raises(InputError, match=r"holds no alpha channel; write \.tif, \.png, \.npy"):
        open_rows(tmp_path / name, width=8, height=8, compression=compression, alpha=True)


def test_what_is_invisible_has_no_weight_in_a_pyramid() -> None:
    levels: dict[int, list[int]] = {}
    pyramid = Pyramid(
        2, 2, least=1, consume=lambda level, _, rows: levels.update({level: rows[0, 0].tolist()})
    )
    red, hidden = (200, 0, 0, 255), (0, 250, 0, 0)
    pyramid.write(np.array([[red, hidden], [hidden, hidden]], np.uint8))
    assert levels[1] == [200, 0, 0, 64]
    pyramid = Pyramid(
        2, 2, least=1, consume=lambda level, _, rows: levels.update({level: rows[0, 0].tolist()})
    )
    pyramid.write(np.array([[hidden, hidden], [hidden, hidden]], np.uint8))
    assert levels[1] == [0, 0, 0, 0]
