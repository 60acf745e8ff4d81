"""Models newer than the goldens, against outputs of their own reference code.

``tests/data/references`` holds these outputs, under the weights of ``synthetic_weights``:
taeltx2_3_wide's from madebyollin/taehv's branch of that name (commit 32ac0146b110).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import taesd_stream as ts
from taesd_stream.models import detect, read_checkpoint
from tests.synthetic_weights import synthetic_state_dict

REFERENCES = Path(__file__).parents[1] / "data" / "references"
MANIFEST = json.loads((REFERENCES / "manifest.json").read_text())

StateDict = dict[str, Tensor]


def weights(name: str) -> StateDict:
    arrays = synthetic_state_dict(MANIFEST[name])
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


@pytest.fixture(scope="module", params=MANIFEST)
def name(request: pytest.FixtureRequest) -> str:
    """A model's name; the tests of one run together, since it is built for them."""
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def reference(name: str) -> StateDict:
    return load_file(REFERENCES / f"{name}.safetensors")


@pytest.fixture(scope="module")
def ae(name: str) -> ts.AutoEncoder:
    """Loaded by its shapes alone."""
    return ts.load(weights(name), device="cpu", backend="torch")


def test_shapes_alone_tell_the_variant(name: str) -> None:
    assert detect(read_checkpoint(weights(name))).name == name


@pytest.mark.parametrize("tile", [None, 1])
def test_decoding_equals_the_reference(
    ae: ts.AutoEncoder, reference: StateDict, tile: int | None
) -> None:
    made = ae.decode(reference["latents"], tile=tile)
    assert made.shape == reference["decoded"].shape
    assert float((made - reference["decoded"].clamp(0, 1)).abs().max()) < 1e-4
    inside = (reference["decoded"] > 0) & (reference["decoded"] < 1)
    assert float(inside.float().mean()) > 0.8


@pytest.mark.parametrize("tile", [None, 1])
def test_encoding_equals_the_reference(
    ae: ts.AutoEncoder, reference: StateDict, tile: int | None
) -> None:
    made = ae.encode(reference["images"], tile=tile)
    span = float(reference["encoded"].max() - reference["encoded"].min())
    assert float((made - reference["encoded"]).abs().max()) < 1e-4 * span
