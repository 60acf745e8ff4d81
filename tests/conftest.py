"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# The tensors of these tests are small: threads would only wait for each other.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of goldens, real weights and real latents that may lie beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED}: this test reads real weights, latents or media from it")
    return SHARED
