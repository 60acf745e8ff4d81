"""Exported models for videos, step by step, make what the engine makes of the whole clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from tests.exporting.step_by_step import decoded_clip, encoded_clip

Exported = Callable[..., tuple[ts.AutoEncoder, Any]]


def random(*sizes: int) -> Tensor:
    return torch.randn(sizes, generator=torch.Generator().manual_seed(sum(sizes)))


def assert_near(made: Any, expected: Tensor) -> None:
    span = float(expected.max() - expected.min())
    torch.testing.assert_close(torch.from_numpy(made), expected, atol=1e-5 * span, rtol=0)


DECODERS = [
    *("taesdv", "taehv", "taew2_2", "taehv1_5_super", "taeltx_2"),
    *("lighttaehy1_5", "taem1"),
]


@pytest.mark.parametrize("name", DECODERS)
def test_decoders(name: str, exported: Exported) -> None:
    ae, session = exported(name)
    latents = random(2, 3, ae.spec.latent_channels, 2, 1)
    known = session.get_modelmeta().custom_metadata_map
    assert int(known["frames_per_step"]) == ae.spec.temporal_scale
    made = decoded_clip(session, latents.numpy())[:, int(known["frames_to_drop"]) :]
    expected = ae.decode(latents, tile=None, convention=ae.spec.convention)
    assert_near(made.clip(0, 1), expected)


@pytest.mark.parametrize("name", ["taehv", "taew2_2", "taeltx_2", "taem1"])
def test_encoders(name: str, exported: Exported) -> None:
    ae, session = exported(name, "encoder")
    frames = 2 * ae.spec.encode_timing.shrink
    images = random(2, frames, 3, 35, 50).sigmoid()
    assert int(session.get_modelmeta().custom_metadata_map["frames_per_step"]) * 2 == frames
    assert_near(encoded_clip(session, images.numpy()), ae.encode(images, tile=None))


def test_what_depends_on_the_clip_is_told(exported: Exported) -> None:
    _, session = exported("taecvx")
    known = session.get_modelmeta().custom_metadata_map
    assert known["frames_to_drop"] == "3"
    assert known["frames_to_drop_if"] == "the number of latents is odd"
    _, session = exported("taeh3")
    known = session.get_modelmeta().custom_metadata_map
    assert (known["latents_per_chunk"], known["latents_after_chunks"]) == ("5", "2")
    _, session = exported("taeh3", "encoder")
    known = session.get_modelmeta().custom_metadata_map
    told = ("frames_per_group", "black_frames_before_group", "latents_to_drop_at_end")
    assert [known[name] for name in told] == ["17", "3", "3"]


def test_one_size_only(exported: Exported) -> None:
    ae, session = exported("taehv", static=(24, 16))
    assert session.get_outputs()[0].shape == [1, 4, 3, 16, 24]
    assert session.get_inputs()[-1].shape == [1, 16, 8, 12]  # the last blocks', narrowed
    latents = random(1, 2, ae.spec.latent_channels, 2, 3)
    made = decoded_clip(session, latents.numpy())[:, 3:]
    assert_near(made.clip(0, 1), ae.decode(latents, tile=None))
