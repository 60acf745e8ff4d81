"""Some latents of a video are the same, made of the frames that they need and no others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.streams.encode_stream import EncodeStream
from taesd_stream.engine.streams.encode_window import EncodeWindow
from tests.engine.conftest import narrow_model_named

MODELS = ("nano", "taesdv", "taehv", "taecvx", "taem1", "taeh3")
OPTIONS = TileOptions(tile=2, threads=1)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_window_gives_the_latents_of_the_whole(name: str, data: st.DataObject) -> None:
    encoder = coder_of(narrow_model_named(name), "encode")
    timing = encoder.spec.encode_timing
    total = data.draw(st.integers(1, 20 * timing.shrink))
    count = timing.latents(total)
    first = data.draw(st.integers(0, count - 1))
    stop = data.draw(st.integers(first + 1, count))
    images = np.random.default_rng(total).integers(0, 256, (total, 20, 18, 3), np.uint8)
    whole = list(EncodeStream(encoder, OPTIONS).encode(images))
    window = EncodeWindow.of(encoder, range(first, stop), total)
    assert 0 <= window.frames.start < window.frames.stop <= total
    part = images[window.frames.start : window.frames.stop]
    made = list(window.encoded(EncodeStream(encoder, OPTIONS), part))
    assert len(whole) == count
    assert len(made) == stop - first
    for one, other in zip(made, whole[first:stop], strict=True):
        assert torch.equal(one, other)


def test_no_more_frames_are_taken_than_are_remembered() -> None:
    encoder = coder_of(narrow_model_named("taehv"), "encode")
    window = EncodeWindow.of(encoder, range(50, 52), total=1000)
    assert (window.frames, window.skipped) == (range(168, 208), 8), "the first reads from 170 on"
