"""What is on a GPU is taken without waiting for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import taesd_stream as ts
from taesd_stream.engine.pixels import to_bytes
from taesd_stream.sinks.frames import FrameTaking
from tests.sinks.taking import Kept

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def test_a_frame_is_taken_without_a_synchronisation() -> None:
    frame = torch.rand(3, 64, 96, device="cuda", dtype=torch.float16)
    expected = to_bytes(frame).cpu().numpy()
    torch.cuda.set_sync_debug_mode("error")
    try:
        taken = FrameTaking().take(frame)
        frame.zero_()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    np.testing.assert_array_equal(taken.array(), expected)


def test_latents_become_the_video_that_stream_makes() -> None:
    ae, kept = ts.load("nano", device="cuda", dtype="float32"), Kept()
    latents = torch.randn(4, 4, 8, 8, device="cuda")
    with ts.VideoSink(kept, model=ae) as sink:
        for latent in latents:
            pushed = latent.clone()
            sink.push(pushed)
            pushed.zero_()
    np.testing.assert_array_equal(kept.frames, list(ae.stream(latents)))
