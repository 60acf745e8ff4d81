"""Weights of the official shapes that mean nothing."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tests.synthetic_weights import synthetic_state_dict

StateDict = dict[str, torch.Tensor]


GOLDENS = Path(__file__).parents[1] / "data" / "goldens"


MANIFEST = json.loads((GOLDENS / "manifest.json").read_text())


def official(name: str) -> StateDict:
    arrays = synthetic_state_dict(MANIFEST[name])
    return {key: torch.from_numpy(array) for key, array in arrays.items()}
