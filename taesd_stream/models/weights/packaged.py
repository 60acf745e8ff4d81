"""The weights that the package carries: nano's, which ``training`` in the repository makes."""

from __future__ import annotations

from pathlib import Path

__all__ = ["packaged_weights"]


def packaged_weights(name: str) -> Path:
    """The file with a variant's decoder; an encoder lies beside it.

    >>> packaged_weights("nano").name
    'nano_decoder.safetensors'
    """
    return Path(__file__).parent / f"{name}_decoder.safetensors"
