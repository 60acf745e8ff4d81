"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# The tensors of these tests are small: threads would only wait for each other.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session", autouse=True)
def _cache_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests compile and calibrate stays out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAESD_STREAM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of goldens, real weights and real latents that may lie beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED}: this test reads real weights, latents or media from it")
    return SHARED
