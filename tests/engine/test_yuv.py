"""The device's conversion beside the writer's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from taesd_stream.jobs.delivery.rgb_to_yuv import YuvLayout, to_yuv420
from video import ColorTags, luma_weights, read_image
from video.color import _plane, pad_to, rgb_to_frame

MATRICES = (1, 4, 5, 6, 7, 9, 10)
Planes = list[NDArray[np.uint8]]


def writers_own(image: NDArray[np.uint8], pixel_format: str, tags: ColorTags) -> Planes:
    frame = rgb_to_frame(image, pixel_format, tags)
    return [_plane(frame, i, np.dtype(np.uint8)).copy() for i in range(len(frame.planes))]


def ours(
    image: NDArray[np.uint8], size: tuple[int, int], pixel_format: str, tags: ColorTags
) -> Planes:
    kr, kb = luma_weights(tags.matrix)
    layout = YuvLayout(
        *size, kr=kr, kb=kb, full_range=tags.full_range, interleaved=pixel_format == "nv12"
    )
    return [plane.numpy() for plane in to_yuv420(torch.from_numpy(image), layout)]


def exact(image: NDArray[np.uint8], tags: ColorTags) -> list[NDArray[np.float64]]:
    """Y, Cb and Cr of an even size by the formula, not rounded."""
    kr, kb = luma_weights(tags.matrix)
    red, green, blue = np.moveaxis(image / 255, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    black, luma_levels, chroma_levels = (0, 255, 255) if tags.full_range else (16, 219, 224)
    planes = [black + luma_levels * luma]
    for plane in chroma:
        wide = np.pad(plane, ((0, 0), (1, 1)), mode="edge")
        across = ((wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4)[:, ::2]
        planes.append(128 + chroma_levels * (across[::2] + across[1::2]) / 2)
    return planes


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_every_sample_is_the_exact_one_rounded(matrix: int, full_range: bool) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (256, 320, 3), np.uint8)
    tags = ColorTags(matrix=matrix, full_range=full_range)
    found = ours(noise, noise.shape[:2], "yuv420p", tags)
    for plane, expected in zip(found, exact(noise, tags), strict=True):
        error = plane - expected
        assert np.abs(error).max() < 0.501
        assert abs(error.mean()) < 0.01


def check_alike(found: Planes, expected: Planes, *, most_bias: float) -> None:
    for ours_, theirs in zip(found, expected, strict=True):
        assert ours_.shape == theirs.shape
        error = ours_.astype(int) - theirs
        assert np.abs(error).max() <= 1
        assert abs(error.mean()) < most_bias


def bias(tags: ColorTags) -> float:
    """Swscale cuts chroma of full range down instead of rounding it; no writer here asks for it."""
    return 0.6 if tags.full_range else 0.05


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_noise_becomes_what_the_writer_makes_of_it(
    matrix: int, full_range: bool, pixel_format: str
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (256, 320, 3), np.uint8)
    tags = ColorTags(matrix=matrix, full_range=full_range)
    found = ours(noise, noise.shape[:2], pixel_format, tags)
    check_alike(found, writers_own(noise, pixel_format, tags), most_bias=bias(tags))


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_a_photograph_becomes_what_the_writer_makes_of_it(
    matrix: int, full_range: bool, shared
) -> None:
    photograph = read_image(shared / "media" / "astronaut.png")
    tags = ColorTags(matrix=matrix, full_range=full_range)
    found = ours(photograph, photograph.shape[:2], "yuv420p", tags)
    check_alike(found, writers_own(photograph, "yuv420p", tags), most_bias=bias(tags))


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12"])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 5), (2, 7), (5, 2), (33, 65)])
@pytest.mark.parametrize("even", [False, True])
def test_odd_sizes_are_padded_as_the_writer_pads_them(
    size: tuple[int, int], even: bool, pixel_format: str
) -> None:
    height, width = (side + side % 2 if even else side for side in size)
    image = np.random.default_rng(2).integers(0, 256, (*size, 3), np.uint8)
    expected = writers_own(pad_to(image, width=width, height=height), pixel_format, ColorTags())
    check_alike(ours(image, (height, width), pixel_format, ColorTags()), expected, most_bias=1.01)


def test_greys_have_no_colour() -> None:
    greys = np.arange(256, dtype=np.uint8).repeat(3 * 4).reshape(32, 32, 3)
    for matrix in MATRICES:
        _, cb, cr = ours(greys, (32, 32), "yuv420p", ColorTags(matrix=matrix))
        assert (cb == 128).all()
        assert (cr == 128).all()


@pytest.mark.parametrize("full_range", [False, True])
def test_extremes_keep_to_the_range(full_range: bool) -> None:
    corners = np.array([[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)], np.uint8)
    image = corners.repeat(4, axis=0).reshape(8, 2, 2, 3).swapaxes(0, 1).reshape(2, 16, 3).copy()
    luma, *chroma = ours(image, (2, 16), "yuv420p", ColorTags(full_range=full_range))
    assert (luma.min(), luma.max()) == ((0, 255) if full_range else (16, 235))
    assert min(p.min() for p in chroma) >= (0 if full_range else 16)
    assert max(p.max() for p in chroma) <= (255 if full_range else 240)
