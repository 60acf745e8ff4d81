"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of goldens, real weights and real latents that may lie beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED}: this test reads real weights, latents or media from it")
    return SHARED
