"""A video half decoded can be put away, moved, and gone on with; what does not fit is refused."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.coder import Coder
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.streams.decode_stream import Frame
from taesd_stream.models import variant_named

Models = Callable[..., ts.AutoEncoder]


@pytest.fixture(scope="session")
def model(narrow: Models) -> Models:
    """Narrow ones: nothing here depends on how wide layers are."""
    return narrow


VIDEO_MODELS = ["taesdv", "taehv", "taecvx", "taeh3", "taem1"]

properties = settings(max_examples=4, deadline=None, derandomize=True)


def latents_for(ae: ts.AutoEncoder, count: int, plane: tuple[int, int] = (2, 3)) -> Tensor:
    shape = (count, ae.spec.latent_channels, *plane)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def again(ae: ts.AutoEncoder) -> ts.AutoEncoder:
    """The same model from other objects, as another process would load it."""
    coder = coder_of(ae, "decode")
    again = Coder(ae.spec, deepcopy(coder.network), ae.settings)
    return ts.AutoEncoder(ae.spec, ae.settings, None, again)


def check_same_video(frames: list[Frame], expected: list[Frame]) -> None:
    assert len(frames) == len(expected)
    error = np.abs(np.stack(frames).astype(int) - np.stack(expected))
    assert error.max() <= 1
    assert (error == 0).mean() > 0.999


def decoded_in_parts(
    ae: ts.AutoEncoder,
    latents: Tensor,
    *,
    cuts: list[int],
    options: list[dict[str, object]],
    path: Path,
    length: int | None = None,
) -> list[Frame]:
    """The video, the stream being saved to a file before each of the latents ``cuts``."""
    opened = ae.open_stream(length=length, **options[0])
    frames: list[Frame] = []
    for number, latent in enumerate(latents):
        if number in cuts:
            opened.save().save(path)
            choice = options[(cuts.index(number) + 1) % len(options)]
            opened = again(ae).open_stream(state=ts.StreamState.load(path), **choice)
        frames += opened.push(latent)
    return frames + opened.flush()


@pytest.mark.parametrize(
    ("name", "length"),
    [("taesdv", None), ("taehv", None), ("taecvx", None), ("taecvx", 7), ("taeh3", None),
     ("taeh3", 7), ("taem1", 7), ("taesd", None)],
)  # fmt: skip
def test_what_was_saved_goes_on_elsewhere(
    name: str, length: int | None, model: Models, tmp_path: Path
) -> None:
    ae = model(name)
    latents = latents_for(ae, 7)
    expected = list(ae.stream(latents))
    options: list[dict[str, object]] = [{"tile": 2}, {"tile": (1, 3), "memory": "32MiB"}]
    path = tmp_path / "s.safetensors"
    made = decoded_in_parts(ae, latents, cuts=[1, 5], options=options, path=path, length=length)
    check_same_video(made, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["s.safetensors"]


@properties
@given(
    name=st.sampled_from(VIDEO_MODELS),
    plane=st.tuples(st.integers(2, 5), st.integers(3, 4)),
    cuts=st.sets(st.integers(1, 6), min_size=1),
    tiles=st.lists(st.integers(1, 5), min_size=2, max_size=3),
)
def test_any_number_of_times_with_any_tiles(
    *,
    name: str,
    plane: tuple[int, int],
    cuts: set[int],
    tiles: list[int],
    model: Models,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    ae = model(name)
    latents = latents_for(ae, 7, plane)
    options: list[dict[str, object]] = [{"tile": tile} for tile in tiles]
    path = tmp_path_factory.mktemp("state") / "s"
    made = decoded_in_parts(ae, latents, cuts=sorted(cuts), options=options, path=path)
    check_same_video(made, list(ae.stream(latents)))


def test_saving_changes_nothing_and_the_state_is_no_view_of_the_stream(model: Models) -> None:
    ae = model("taehv")
    latents = latents_for(ae, 4)
    expected = list(ae.stream(latents))
    opened = ae.open_stream()
    frames = [frame for latent in latents[:2] for frame in opened.push(latent)]
    state = opened.save()
    rest = [*opened.push(latents[2]), *opened.push(latents[3]), *opened.flush()]
    check_same_video(frames + rest, expected)
    for _ in range(2):
        later = again(ae).open_stream(state=state)
        made = [*later.push(latents[2]), *later.push(latents[3]), *later.flush()]
        check_same_video(frames + made, expected)


def test_a_state_says_what_it_is(model: Models, tmp_path: Path) -> None:
    ae = model("taeh3")
    opened = ae.open_stream()
    for latent in latents_for(ae, 4):
        opened.push(latent)
    state = opened.save()
    state.save(tmp_path / "s")
    for each in (state, ts.StreamState.load(tmp_path / "s")):
        assert (each.model, each.action) == (ae.spec.label, "decode")
        assert (each.height, each.width, each.done, each.total) == (2, 3, 2, None)
        assert {name: tensor.shape for name, tensor in each.pending.items()} == {
            "latents": (2, 24, 2, 3)
        }
        assert len(each.states) == 9


def saved(ae: ts.AutoEncoder, plane: tuple[int, int] = (2, 3)) -> ts.StreamState:
    opened = ae.open_stream()
    opened.push(latents_for(ae, 1, plane)[0])
    return opened.save()


def check_refused(error: pytest.ExceptionInfo[ts.InputError]) -> None:
    assert "\n" not in str(error.value)


def test_a_state_of_another_model_is_refused(model: Models) -> None:
    """Among them the same model made to do less, whose layers remember tensors of equal shapes."""
    state = saved(model("taehv"))
    whole, decoder = model("taehv"), variant_named("taehv").decoder
    weights = {f"decoder.{name}": torch.zeros(shape) for name, shape in decoder().shapes().items()}
    reduced = ts.load(weights, variant="taehv", device="cpu", time_upscale=False)
    for other in (model("taecvx"), reduced):
        with pytest.raises(ts.InputError, match=r"state: expected one of tae.*one of taehv") as no:
            other.open_stream(state=state)
        check_refused(no)
    with pytest.raises(ts.InputError, match=r"taehv .* to encode, found one of taehv .* to decode"):
        whole.open_encode_stream(state=state)


def test_a_stream_that_has_not_begun_or_blends_has_no_state(model: Models) -> None:
    ae = model("taehv")
    with pytest.raises(ts.InputError, match="expected a stream that has begun"):
        ae.open_stream().save()
    blended = ae.open_stream(tile=1, overlap=1)
    blended.push(latents_for(ae, 1)[0])
    with pytest.raises(ts.InputError, match="expected exact tiles, found blended") as caught:
        blended.save()
    check_refused(caught)
    with pytest.raises(ts.InputError, match="expected exact tiles, found blended"):
        ae.open_stream(state=saved(ae), tile=1, overlap=1)


def test_a_state_goes_on_with_latents_of_its_size(model: Models) -> None:
    ae = model("taehv")
    opened = ae.open_stream(state=saved(ae))
    with pytest.raises(ts.InputError, match="latent 1 is 4x3, but the stream began with 3x2"):
        opened.push(latents_for(ae, 1, (3, 4))[0])


def test_a_file_that_holds_no_state_is_refused(model: Models, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no state")
    save_file({"latents": torch.zeros(2)}, tmp_path / "other.safetensors")
    saved(model("taehv")).save(tmp_path / "whole")
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-100])
    for name in ("text", "other.safetensors", "cut", "missing"):
        with pytest.raises(ts.InputError, match=f"state: .*{name}") as caught:
            ts.StreamState.load(tmp_path / name)
        check_refused(caught)


@pytest.mark.parametrize("damage", ["a name", "a shape", "one too many"])
def test_states_that_are_not_the_models_are_refused(damage: str, model: Models) -> None:
    ae = model("taehv")
    state = saved(ae)
    states = dict(state.states)
    name = min(states)
    if damage == "a shape":
        states[name] = states[name][..., :-1]
    else:
        states["99"] = states[name] if damage == "one too many" else states.pop(name)
    broken = replace(state, states=states)
    with pytest.raises(ts.InputError, match="state: expected what taehv remembers of 3x2") as found:
        ae.open_stream(state=broken)
    check_refused(found)


def test_a_state_is_written_over_an_older_one_whole(model: Models, tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    saved(model("taehv")).save(path)
    saved(model("taem1")).save(path)
    assert ts.StreamState.load(path).model.startswith("taem1 ")
    assert len(load_file(path)) == 9


def images_for(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 20, 33, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "count", "cut"),
    [("taesdv", 3, 1), ("taehv", 9, 1), ("taehv", 9, 6), ("taem1", 8, 7), ("taeh3", 20, 3),
     ("taeh3", 20, 17)],
)  # fmt: skip
def test_an_encode_goes_on_elsewhere_too(
    name: str, count: int, cut: int, model: Models, tmp_path: Path
) -> None:
    ae = model(name)
    images = images_for(count)
    opened = ae.open_encode_stream()
    made = [latent for frame in images[:cut] for latent in opened.push(frame)]
    opened.save().save(tmp_path / "s")
    later = ae.open_encode_stream(state=ts.StreamState.load(tmp_path / "s"), tile=1)
    made += [latent for frame in images[cut:] for latent in later.push(frame)]
    made += later.flush()
    expected = list(ae.encode_stream(images))
    torch.testing.assert_close(torch.stack(made), torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_an_encode_goes_on_with_frames_of_its_size_and_its_own_state(model: Models) -> None:
    ae = model("taehv")
    opened = ae.open_encode_stream()
    with pytest.raises(ts.InputError, match="expected a stream that has begun"):
        opened.save()
    opened.push(images_for(1)[0])
    later = ae.open_encode_stream(state=opened.save())
    with pytest.raises(ts.InputError, match="frame 1 is 20x33, but the stream began with 33x20"):
        later.push(images_for(1)[0].transpose(1, 0, 2))
    with pytest.raises(ts.InputError, match=r"taecvx .* found one of taehv") as caught:
        model("taecvx").open_encode_stream(state=opened.save())
    check_refused(caught)
