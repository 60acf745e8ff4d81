"""A video that comes latent by latent is the video that comes at once, each frame in its time."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.streams.decode_stream import Frame

Models = Callable[..., ts.AutoEncoder]


@pytest.fixture(scope="session")
def model(narrow: Models) -> Models:
    """Narrow ones: nothing here depends on how wide layers are."""
    return narrow


VIDEO_MODELS = ["taesdv", "taehv", "taecvx", "taeh3", "taem1"]

properties = settings(max_examples=5, deadline=None, derandomize=True)


def latents_for(ae: ts.AutoEncoder, count: int, plane: tuple[int, int] = (2, 3)) -> Tensor:
    shape = (count, ae.spec.latent_channels, *plane)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def decoded(ae: ts.AutoEncoder, latents: Tensor) -> np.ndarray:
    """What ``decode`` makes, undivided, as bytes."""
    made = ae.decode(latents[None], tile=None)[0]
    return (made * 255).round().to(torch.uint8).movedim(1, -1).numpy()


def check_same_video(frames: list[Frame], expected: np.ndarray) -> None:
    assert len(frames) == len(expected)
    made = np.stack(frames)
    assert made.dtype == np.uint8
    assert np.abs(made.astype(int) - expected).max() <= 1
    assert (made == expected).mean() > 0.999


def turns(opened: ts.DecodeStream, latents: Tensor) -> list[list[Frame]]:
    """The frames of each push, and of the flush."""
    return [*(opened.push(latent) for latent in latents), opened.flush()]


def pushed(opened: ts.DecodeStream, latents: Tensor) -> list[Frame]:
    return [frame for frames in turns(opened, latents) for frame in frames]


@pytest.mark.parametrize(
    ("name", "count"),
    [("taesdv", 3), ("taehv", 3), ("taecvx", 3), ("taecvx", 4), ("taeh3", 7), ("taem1", 3)],
)
def test_every_way_to_hand_latents_over_gives_the_video_of_decode(
    name: str, count: int, model: Models
) -> None:
    ae = model(name)
    latents = latents_for(ae, count)
    expected = decoded(ae, latents)
    assert len(expected) == ae.spec.timing.frames(count)
    ways: dict[str, list[Frame]] = {
        "pushed": pushed(ae.open_stream(), latents),
        "pushed, the length being known": pushed(ae.open_stream(length=count), latents),
        "list": list(ae.stream(list(latents))),
        "tensor": list(ae.stream(latents)),
        "iterator": list(ae.stream(iter(latents))),
        "source": list(ae.stream(ts.open_latents(latents), ahead=64)),
    }
    for frames in ways.values():
        check_same_video(frames, expected)


FIRST_ONES = [
    ("taesdv", None, [1, 1, 1, 0]),
    ("taehv", None, [1, 4, 4, 0]),
    ("taem1", None, [1, 6, 6, 0]),
    ("taecvx", None, [0, 0, 0, 9]),
    ("taecvx", None, [0, 0, 0, 0, 16]),
    ("taecvx", 3, [1, 4, 4, 0]),
    ("taecvx", 4, [4, 4, 4, 4, 0]),
    ("taeh3", None, [0, 5, 0, 0, 0, 0, 17, 0]),
    ("taeh3", None, [0, 5, 0, 0, 0, 0, 17, 0, 0, 0]),
    ("taeh3", 7, [1, 4, 4, 4, 4, 1, 4, 0]),
    ("taeh3", 9, [1, 4, 4, 4, 4, 1, 4, 0, 0, 0]),
]


@pytest.mark.parametrize(("name", "length", "counts"), FIRST_ONES, ids=str)
def test_each_frame_comes_as_soon_as_it_is_known(
    name: str, length: int | None, counts: list[int], model: Models
) -> None:
    ae = model(name)
    latents = latents_for(ae, len(counts) - 1, (1, 2))
    opened = ae.open_stream(length=length)
    assert opened.plan is None
    assert [len(frames) for frames in turns(opened, latents)] == counts


@pytest.mark.parametrize("name", VIDEO_MODELS)
def test_the_first_frame_waits_for_no_more_latents_than_the_spec_says(
    name: str, model: Models
) -> None:
    ae = model(name)
    taken = 0

    def source() -> Iterator[Tensor]:
        nonlocal taken
        for latent in latents_for(ae, 7, (1, 2)):
            taken += 1
            yield latent

    next(ae.stream(source()))
    assert taken == {"taeh3": 2, "taecvx": 7}.get(name, 1)
    if name != "taecvx":  # it needs to know how many there are
        assert taken == ae.spec.first_frame_after


def test_latents_at_the_end_of_which_no_frame_is_made_are_told(
    model: Models, caplog: pytest.LogCaptureFixture
) -> None:
    ae = model("taeh3")
    list(ae.stream(iter(latents_for(ae, 4, (1, 2)))))
    assert "the last 2 of 4 latents make no frame" in caplog.text


@properties
@given(
    name=st.sampled_from(VIDEO_MODELS),
    plane=st.tuples(st.integers(2, 5), st.integers(3, 4)),
    tile=st.integers(1, 5),
    count=st.integers(2, 8),
    ahead=st.integers(1, 9),
)
def test_any_tile_and_any_turn_give_the_same_video(
    *, name: str, plane: tuple[int, int], tile: int, count: int, ahead: int, model: Models
) -> None:
    ae = model(name)
    latents = latents_for(ae, count, plane)
    expected = decoded(ae, latents)
    check_same_video(list(ae.stream(latents, tile=tile, ahead=ahead)), expected)
    check_same_video(pushed(ae.open_stream(tile=tile), latents), expected)


def test_blended_crops_remember_each_for_itself(model: Models) -> None:
    ae = model("taehv")
    latents = latents_for(ae, 3, (4, 5))
    options = {"tile": 2, "overlap": 1}
    whole = ae.decode(latents[None], **options)[0]
    expected = (whole * 255).round().to(torch.uint8).movedim(1, -1).numpy()
    check_same_video(list(ae.stream(latents, **options)), expected)


@pytest.mark.parametrize("name", ["taesdv", "taehv", "taeh3"])
def test_several_clips_of_one_source_are_decoded_each_alone(name: str, model: Models) -> None:
    ae = model(name)
    clips = latents_for(ae, 4).view(2, 2, -1, 2, 3)
    with ts.open_latents(clips, layout="NTCHW") as source:
        made = list(ae.stream(source))
        assert ae.open_video(source).plan.frames == len(made)
    check_same_video(made, np.concatenate([decoded(ae, clip) for clip in clips]))
    both = ae.decode(clips)
    torch.testing.assert_close(both[1], ae.decode(clips[1:])[0])


def test_a_window_into_several_clips_may_span_them(model: Models) -> None:
    ae = model("taehv")
    clips = latents_for(ae, 6).view(3, 2, -1, 2, 3)
    every = np.concatenate([decoded(ae, clip) for clip in clips])
    with ts.open_latents(clips, layout="NTCHW") as source:
        for frames in (slice(3, 12), slice(6, 8), slice(1, None, 4), slice(-2, None)):
            check_same_video(list(ae.stream(source, frames=frames)), every[frames])


def images_for(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 20, 33, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "count"),
    [("taesdv", 3), ("taehv", 8), ("taehv", 5), ("taecvx", 1), ("taem1", 7), ("taeh3", 18)],
)
def test_frames_encoded_one_by_one_are_those_encoded_at_once(
    name: str, count: int, model: Models
) -> None:
    ae = model(name)
    images = images_for(count)
    expected = ae.encode(torch.from_numpy(images).movedim(-1, 1)[None] / 255)[0]
    assert expected.shape[0] == ae.spec.encode_timing.latents(count)
    opened = ae.open_encode_stream(tile=2)
    one_by_one = [latent for frame in images for latent in opened.push(frame)]
    for made in (
        list(ae.encode_stream(images)),
        list(ae.encode_stream(iter(images), memory="64MiB")),
        one_by_one + opened.flush(),
    ):
        torch.testing.assert_close(torch.stack(made), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("taesdv", [1, 1, 1, 0]),
        ("taehv", [0, 0, 0, 1, 0, 0, 0, 1, 0]),
        ("taehv", [0, 0, 0, 1, 0, 1]),
        ("taeh3", [0] * 12 + [1, 0, 0, 0, 1, 0]),
    ],
    ids=str,
)
def test_each_latent_comes_as_soon_as_it_is_known(
    name: str, counts: list[int], model: Models
) -> None:
    opened = model(name).open_encode_stream()
    made = [opened.push(frame) for frame in images_for(len(counts) - 1)]
    assert [len(latents) for latents in [*made, opened.flush()]] == counts


class Watch:
    """Latents that come one by one, and how much is held when every tenth of them comes."""

    def __init__(self, latents: Tensor, count: int) -> None:
        self._latents, self._count = latents, count
        self.held: list[int] = []

    def __iter__(self) -> Iterator[Tensor]:
        for number in range(self._count):
            if number % 10 == 9:
                self.held.append(_tensor_bytes())
            yield self._latents.clone()


def _tensor_bytes() -> int:
    """Bytes of all storages that tensors of this process keep alive."""
    tensors = [
        each
        for each in gc.get_objects()
        if type(each) is Tensor and not each.is_meta and each.layout == torch.strided
    ]
    storages = {each.untyped_storage().data_ptr(): each.untyped_storage() for each in tensors}
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("taesdv", {"tile": 1}),
        ("taehv", {}),
        ("taehv", {"frames": slice(5, None, 3)}),
        ("taeh3", {}),
    ],
    ids=str,
)
def test_a_long_stream_holds_no_more_than_a_short_one(
    name: str, options: dict[str, object], model: Models
) -> None:
    ae = model(name)
    gc.collect()  # of what other tests have left
    most = []
    for count in (10, 60 if name == "taesdv" else 30):
        watch = Watch(latents_for(ae, 1, (1, 2))[0], count)
        frames: list[weakref.ref[Frame]] = []
        for frame in ae.stream(watch, **options):
            frames.append(weakref.ref(frame))
            assert sum(each() is not None for each in frames[-50:-20]) == 0
        most.append(max(watch.held))
    assert most[1] == most[0]
