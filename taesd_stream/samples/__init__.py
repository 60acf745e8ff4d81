"""The sample that the package carries: latents of a public-domain photograph in motion."""

from __future__ import annotations

from pathlib import Path

__all__ = ["sample_path"]


def sample_path() -> Path:
    """A folder of 8-bit latents of Stable Diffusion 1, one PNG a frame.

    >>> sample_path().name
    'astronaut'
    """
    return Path(__file__).parent / "astronaut"
