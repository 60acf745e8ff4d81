"""Outputs equal those of the reference implementations, undivided and in tiles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import taesd_stream as ts

Models = Callable[..., ts.AutoEncoder]
Goldens = Callable[[str], dict[str, Tensor]]

NAMES = ["taesd", "taesd3", "taef2", "taesana"]
COPIED_VIDEO = ["taesdv", "taehv", "taew2_2_super"]
VIDEO = [*COPIED_VIDEO, "taew2_2", "taehv1_5", "taeltx_2", "taecvx", "taeh3", "taem1"]
COPIED = [*NAMES, *COPIED_VIDEO]
TILES = ["auto", 1, (2, 5)]
TOLERANCE = 1e-4  # of the reference output's range


def assert_within_tolerance(made: Tensor, expected: Tensor) -> None:
    assert made.shape == expected.shape
    span = float(expected.max() - expected.min())
    assert float((made - expected).abs().max()) <= TOLERANCE * span


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_decoding_equals_the_reference(
    name: str, tile: object, model: Models, golden: Goldens
) -> None:
    reference = golden(name)
    made = model(name).decode(reference["latents"], tile=tile)
    assert_within_tolerance(made, reference["decoded"].clamp(0, 1))


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_encoding_equals_the_reference(
    name: str, tile: object, model: Models, golden: Goldens
) -> None:
    reference = golden(name)
    made = model(name).encode(reference["images"], tile=tile)
    assert_within_tolerance(made, reference["encoded"])


@pytest.fixture(scope="module", params=VIDEO)
def video(request: pytest.FixtureRequest) -> str:
    """A video model's name; the tests of one run together, since it is built for them."""
    name: str = request.param
    return name


def test_decoding_a_video_equals_the_reference(video: str, model: Models, golden: Goldens) -> None:
    reference = golden(video)
    tile = 3 if video in COPIED_VIDEO else "auto"
    made = model(video).decode(reference["latents"], tile=tile)
    assert_within_tolerance(made, reference["decoded"].clamp(0, 1))


def test_encoding_a_video_equals_the_reference(video: str, model: Models, golden: Goldens) -> None:
    reference = golden(video)
    tile = 3 if video in COPIED_VIDEO else None
    made = model(video).encode(reference["images"], tile=tile)
    assert_within_tolerance(made, reference["encoded"])


def test_streaming_a_video_rounds_the_reference_to_bytes(
    video: str, model: Models, golden: Goldens
) -> None:
    reference = golden(video)
    (latents,) = reference["latents"]
    frames = model(video).stream(iter(latents), tile=None)
    made = torch.from_numpy(np.stack(list(frames)))
    assert made.dtype == torch.uint8
    (expected,) = reference["decoded"].clamp(0, 1).mul(255).movedim(-3, -1)
    assert made.shape == expected.shape
    assert float((made - expected).abs().max()) <= 0.5 + 255 * TOLERANCE


def test_encoding_frame_by_frame_equals_encoding_the_video(
    video: str, model: Models, golden: Goldens
) -> None:
    (images,) = golden(video)["images"]
    frames = images.mul(255).round().to(torch.uint8).movedim(-3, -1)
    made = torch.stack(list(model(video).encode_stream(frames.numpy(), tile=None)))
    (expected,) = model(video).encode(frames.movedim(-1, -3)[None].float() / 255, tile=None)
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_the_reference_pictures_are_worth_comparing(golden: Goldens) -> None:
    """Neither flat nor clipped away: a comparison with them can fail."""
    for name in COPIED:
        decoded = golden(name)["decoded"].clamp(0, 1)
        assert float(decoded.std()) > 0.1
        assert float(((decoded > 0) & (decoded < 1)).float().mean()) > 0.5


@pytest.mark.parametrize("name", COPIED)
def test_the_copies_here_are_those_of_the_shared_folder(name: str, shared: Path) -> None:
    here = Path(__file__).parents[1] / "data" / "goldens" / f"{name}.safetensors"
    assert here.read_bytes() == (shared / "goldens" / here.name).read_bytes()


def test_the_manifest_here_is_that_of_the_shared_folder(shared: Path) -> None:
    here = Path(__file__).parents[1] / "data" / "goldens" / "manifest.json"
    theirs = shared / "goldens" / here.name
    assert json.loads(here.read_text()) == json.loads(theirs.read_text())


def test_real_weights_decode_real_latents_to_the_reference_pictures(shared: Path) -> None:
    ae = ts.load(shared / "weights" / "taef2_decoder.pth", device="cpu")
    assert (ae.spec.name, ae.spec.halo, ae.spec.can_encode) == ("taef2", None, True)
    with ts.open_latents(shared / "latents" / "flux2_clip.safetensors") as latents:
        reference = _reference_pictures(shared)
        index = next(iter(reference))
        for tile in (None, 16):
            (frame,) = ae.stream([latents[index]], tile=tile)
            made = torch.from_numpy(frame).movedim(-1, 0).int()
            assert int((made - reference[index].int()).abs().max()) <= 1


def _reference_pictures(shared: Path) -> dict[int, Tensor]:
    from safetensors.torch import load_file

    stored = load_file(shared / "latents" / "flux2_clip_reference.safetensors")
    return dict(zip(stored["frames"].tolist(), stored["images"], strict=True))


def test_an_encoder_alone_encodes_and_says_that_it_cannot_decode(shared: Path) -> None:
    ae = ts.load(shared / "weights" / "taesana_encoder.pth", device="cpu")
    assert (ae.spec.name, ae.spec.can_decode, ae.spec.can_encode) == ("taesana", False, True)
    assert ae.encode(torch.rand(1, 3, 33, 64)).shape == (1, 32, 2, 2)
    with pytest.raises(ts.InputError, match="taesana was loaded without its decoder"):
        ae.decode(torch.zeros(1, 32, 2, 2))
