"""Fixtures of the tests with pipelines of diffusers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.hosts.tiny_pipelines import TinyPipeline


@pytest.fixture
def sd() -> TinyPipeline:
    """Four steps whose x0 are known: the network says that all of the sample is noise."""
    from taesd_stream.diffusers import TiledVAE
    from tests.hosts.tiny_pipelines import stable_diffusion

    pipeline = stable_diffusion(TiledVAE("latent2rgb", device="cpu"))
    pipeline.words["num_inference_steps"] = 4
    return pipeline
