"""The ways in which Python programs save what they have."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import torch

import taesd_stream as ts

Save = Callable[[object, Path], None]


def save_zip(content: object, path: Path) -> None:
    torch.save(content, path)


def save_old(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def save_pickle(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


SAVERS: tuple[Save, ...] = (save_zip, save_old, save_pickle)


def opened(content: object, folder: Path, save: Save = save_zip, **options: object) -> torch.Tensor:
    """The latents of what was saved."""
    save(content, folder / "a.pt")
    with ts.open_latents(folder / "a.pt", **options) as source:  # type: ignore[arg-type]
        return source[:]
