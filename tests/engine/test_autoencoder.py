"""What decode, encode, stream and plan take, give and refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

import taesd_stream as ts

Models = Callable[..., ts.AutoEncoder]


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("latents", "complaint"),
    [
        (noise(4, 8, 8), r"latents: expected \(N, C, h, w\).*\(4, 8, 8\); put \[None\]"),
        (noise(8, 8), r"found \(8, 8\)$"),
        (noise(1, 16, 8, 8), r"taesd takes 4 channels, found 16 in \(1, 16, 8, 8\)"),
        (noise(1, 8, 8, 4), "takes 4 channels, found 8"),
        (noise(0, 4, 8, 8), r"found \(0, 4, 8, 8\)"),
        (noise(1, 4, 0, 8), r"found \(1, 4, 0, 8\)"),
        (torch.zeros(1, 4, 8, 8, dtype=torch.uint8), "floating-point values, found torch.uint8"),
        (np.zeros((1, 4, 8, 8)), "expected a torch tensor, found ndarray"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_decoding_refuses_what_are_no_latents(
    latents: Tensor, complaint: str, model: Models
) -> None:
    with pytest.raises(ts.InputError, match=complaint) as caught:
        model("taesd").decode(latents)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (3, 8, 8)], ids=str)
def test_encoding_refuses_what_are_no_images(shape: tuple[int, ...], model: Models) -> None:
    with pytest.raises(ts.InputError, match="images: "):
        model("taesd").encode(torch.zeros(shape))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_the_first_frame_that_is_not_finite_is_named(value: float, model: Models) -> None:
    ae = model("taesd")
    latents = noise(2, 3, 4, 5, 5)
    latents[1, 1, 2, 3, 4] = value
    with pytest.raises(ts.NonFiniteError) as caught:
        ae.decode(latents)
    assert caught.value.frame == 4
    frames = ae.stream(latents.flatten(0, 1))
    for _ in range(4):
        next(frames)
    with pytest.raises(ts.NonFiniteError) as caught:
        next(frames)
    assert caught.value.frame == 4
    images = torch.zeros(3, 3, 8, 8)
    images[2, 0, 0, 0] = value
    with pytest.raises(ts.NonFiniteError) as caught:
        ae.encode(images)
    assert caught.value.frame == 2


def test_pictures_lie_between_nought_and_one(model: Models) -> None:
    made = model("taesd").decode(10 * noise(1, 4, 6, 6))
    assert (float(made.min()), float(made.max())) == (0, 1)


def test_what_is_asked_of_a_half_that_is_not_there_is_refused(model: Models) -> None:
    ae = model("latent2rgb")
    assert not ae.spec.can_encode
    with pytest.raises(ts.InputError, match="latent2rgb has no encoder, it only decodes"):
        ae.encode(torch.zeros(1, 3, 8, 8))


def test_images_of_any_size_are_encoded_to_all_latents_that_they_touch(model: Models) -> None:
    ae = model("taesd")
    for height, width in [(1, 1), (8, 9), (15, 16), (17, 3)]:
        made = ae.encode(torch.rand(2, 3, height, width))
        assert made.shape == (2, 4, -(-height // 8), -(-width // 8))
    assert ae.encode(torch.rand(1, 2, 3, 8, 8)).shape == (1, 2, 4, 1, 1)


def test_the_stream_gives_a_frame_for_each_latent_as_it_comes(model: Models) -> None:
    pulled = 0

    def source() -> Iterator[Tensor]:
        nonlocal pulled
        for latent in noise(3, 4, 3, 4):
            pulled += 1
            yield latent

    frames = model("taesd").stream(source())
    assert pulled == 0
    for count in (1, 2, 3):
        frame = next(frames)
        assert pulled == count
        assert (frame.shape, frame.dtype) == ((24, 32, 3), np.uint8)
    assert list(frames) == []


@pytest.mark.parametrize("options", [{}, {"tile": 2}, {"tile": None}, {"memory": "64MiB"}], ids=str)
def test_the_stream_is_what_decode_makes_rounded(options: dict[str, object], model: Models) -> None:
    ae = model("taesd")
    latents = noise(3, 4, 5, 4)
    decoded = ae.decode(latents, **options)
    expected = (decoded * 255).round().to(torch.uint8).movedim(1, -1).numpy()
    made = np.stack(list(ae.stream(latents, **options)))
    assert np.abs(made.astype(int) - expected).max() <= 1
    assert (made == expected).mean() > 0.999


def test_a_stream_of_several_sizes_is_refused_where_it_changes(model: Models) -> None:
    frames = model("taesd").stream([noise(4, 3, 4), noise(4, 4, 3)])
    next(frames)
    with pytest.raises(ts.InputError, match="latent 1 is 3x4, but the stream began with 4x3"):
        next(frames)


@pytest.mark.parametrize("latent", [noise(1, 4, 3, 3), noise(4, 3), "latent", noise(3, 3, 3)])
def test_a_stream_of_something_else_is_refused(latent: object, model: Models) -> None:
    with pytest.raises(ts.InputError, match="latent 0"):
        next(model("taesd").stream([latent]))  # type: ignore[list-item]


def test_an_empty_stream_ends_at_once(model: Models) -> None:
    assert list(model("taesd").stream([])) == []


def test_a_missing_half_and_a_wrong_option_are_told_by_the_stream(model: Models) -> None:
    with pytest.raises(ts.InputError, match="tile: expected"):
        next(model("taesd").stream([noise(4, 3, 3)], tile=-1))


@pytest.mark.parametrize("options", [{"tile": 2}, {"tile": 3, "overlap": 1}], ids=str)
@pytest.mark.parametrize("half", ["decode", "encode"])
def test_progress_ends_at_the_total(half: str, options: dict[str, int], model: Models) -> None:
    told: list[tuple[int, int]] = []
    source = noise(2, 4, 5, 4) if half == "decode" else torch.rand(2, 3, 39, 27)
    getattr(model("taesd"), half)(
        source, on_tile=lambda done, total: told.append((done, total)), **options
    )
    assert len({total for _, total in told}) == 1
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1][0] == told[-1][1]


@pytest.mark.parametrize(
    ("shape", "frames"), [((4, 9, 7), None), ((5, 4, 9, 7), 5), ((2, 3, 4, 9, 7), 6)], ids=str
)
def test_plans_for_shapes_of_latents(
    shape: tuple[int, ...], frames: int | None, model: Models
) -> None:
    plan = model("taesd").plan(shape, tile=4)
    assert (plan.action, plan.frames, plan.model) == ("decode", frames, "taesd")
    assert (plan.latents.height, plan.latents.width) == (9, 7)
    assert (plan.pixels.height, plan.pixels.width) == (72, 56)
    assert (plan.tiles, plan.overlap) == (6, "exact")
    assert model("taesd").plan(torch.Size(shape)).latents == plan.latents


def test_plans_for_what_comes_one_by_one(model: Models) -> None:
    assert model("taesd").plan((4, 9, 7), frames=99).frames == 99
    with pytest.raises(ts.InputError, match=r"frames: expected none with .* found 99"):
        model("taesd").plan((5, 4, 9, 7), frames=99)


def test_plans_for_shapes_of_images(model: Models) -> None:
    plan = model("taesd").plan((3, 65, 30), action="encode")
    assert (plan.action, plan.frames) == ("encode", None)
    assert (plan.latents.height, plan.latents.width) == (9, 4)
    assert (plan.pixels.height, plan.pixels.width) == (65, 30)


@pytest.mark.parametrize(
    ("shape", "action", "complaint"),
    [
        ((9, 7), "decode", r"found \(9, 7\)"),
        ((1, 1, 1, 4, 9, 7), "decode", "shape: expected"),
        ((4, 0, 7), "decode", r"found \(4, 0, 7\)"),
        ((16, 9, 7), "decode", "4 channels for taesd to decode, found 16"),
        ((4, 9, 7), "encode", "3 channels for taesd to encode, found 4"),
        (
            (4, 9, 7),
            "paint",
            "action: expected one of decode, encode, decode backward, encode backward, found"
            " 'paint'",
        ),
    ],
    ids=str,
)
def test_plans_for_impossible_shapes_are_refused(
    shape: tuple[int, ...], action: str, complaint: str, model: Models
) -> None:
    with pytest.raises(ts.InputError, match=complaint):
        model("taesd").plan(shape, action=action)


def test_a_model_says_what_it_is(model: Models) -> None:
    ae = model("taef2", "bfloat16")
    assert repr(ae) == "AutoEncoder(taef2, cpu bfloat16 torch)"
    assert ae.decode(noise(1, 32, 2, 2)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "latents", "frames"),
    [("taesdv", 4, 4), ("taehv", 4, 13), ("taecvx", 4, 16), ("taecvx", 3, 9), ("taeh3", 7, 22),
     ("taeh3", 8, 22), ("taem1", 4, 19)],
)  # fmt: skip
def test_a_video_has_as_many_frames_as_its_timing_says(
    name: str, latents: int, frames: int, model: Models
) -> None:
    ae = model(name)
    scale = ae.spec.spatial_scale
    made = ae.decode(noise(2, latents, ae.spec.latent_channels, 1, 2))
    assert made.shape == (2, frames, 3, scale, 2 * scale)
    assert ae.spec.timing.frames(latents) == frames
    plan = ae.plan((2, latents, ae.spec.latent_channels, 1, 2))
    assert plan.frames == 2 * frames


@pytest.mark.parametrize(
    ("name", "frames", "latents"),
    [("taesdv", 4, 4), ("taehv", 9, 3), ("taehv", 12, 3), ("taecvx", 1, 1), ("taeh3", 17, 2),
     ("taeh3", 18, 7), ("taem1", 7, 2)],
)  # fmt: skip
def test_an_encode_has_as_many_latents_as_its_timing_says(
    name: str, frames: int, latents: int, model: Models
) -> None:
    ae = model(name)
    made = ae.encode(torch.rand(2, frames, 3, 16, 24))
    assert made.shape[:3] == (2, latents, ae.spec.latent_channels)
    assert ae.spec.encode_timing.latents(frames) == latents


def test_clips_and_single_pictures_have_nothing_to_do_with_each_other(model: Models) -> None:
    ae = model("taehv")
    latents = noise(3, 2, 16, 2, 3)
    together = ae.decode(latents)
    for clip, made in zip(latents, together, strict=True):
        torch.testing.assert_close(made, ae.decode(clip[None])[0], atol=1e-5, rtol=0)
    pictures = ae.decode(latents[:, 0])
    torch.testing.assert_close(pictures, together[:, 0], atol=1e-5, rtol=0)
    images = torch.rand(3, 4, 3, 16, 24)
    codes = ae.encode(images)
    torch.testing.assert_close(codes[1:2], ae.encode(images[1:2]), atol=1e-5, rtol=1e-5)
    assert ae.encode(images[:, 0]).shape == (3, 16, 2, 3)


def test_what_makes_several_of_one_takes_videos_only(model: Models) -> None:
    ae = model("taeh3")
    with pytest.raises(
        ts.InputError, match=r"\(N, T, 3, H, W\), since taeh3 makes 2 latents of one"
    ):
        ae.encode(torch.zeros(2, 3, 16, 16))
    for shape in ((2, 24, 2, 3), (1, 1, 24, 2, 3)):
        with pytest.raises(ts.InputError, match="at least 2, found 1: taeh3 makes its first 5"):
            ae.decode(torch.zeros(shape))
        with pytest.raises(ts.InputError, match="at least 2, found 1"):
            ae.plan(shape)


def test_the_latent_that_is_not_finite_is_counted_over_all_clips(model: Models) -> None:
    latents = noise(2, 3, 16, 2, 2)
    latents[1, 1, 2, 0, 1] = float("nan")
    with pytest.raises(ts.NonFiniteError) as caught:
        model("taehv").decode(latents)
    assert caught.value.frame == 4


def test_progress_of_a_video_ends_at_the_total_of_each_clip(model: Models) -> None:
    told: list[tuple[int, int]] = []
    ae = model("taehv")
    ae.decode(noise(1, 3, 16, 4, 5), tile=3, on_tile=lambda *part: told.append(part))
    assert len({total for _, total in told}) == 1
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1][0] == told[-1][1]
