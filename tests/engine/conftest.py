"""Models with weights that are the same on every machine, and what reference code makes of them."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import taesd_stream as ts
from taesd_stream.models import variant_named
from taesd_stream.models.weights import variant_detection
from tests.narrow_models import narrowed, shapes_of

TESTS = Path(__file__).parents[1]
GOLDENS = TESTS / "data" / "goldens"

Models = Callable[..., ts.AutoEncoder]

_SHAPES_OF = {"taesdxl": "taesd", "taef1": "taesd3", "taew2_1": "taehv"}


def threads_of_ours() -> int:
    """The threads of this process that the engine has begun."""
    return sum(each.name == "taesd-stream" for each in threading.enumerate())


@lru_cache(maxsize=1)
def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "synthetic_weights", TESTS / "synthetic_weights.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@lru_cache(maxsize=1)
def _manifest() -> dict[str, dict[str, object]]:
    manifest: dict[str, dict[str, object]] = json.loads((GOLDENS / "manifest.json").read_text())
    return manifest


@lru_cache(maxsize=24)
def _model(name: str, dtype: str, backend: str, device: str) -> ts.AutoEncoder:
    if variant_named(name).built_in:
        return ts.load(name, device=device, dtype=dtype, backend=backend)
    return ts.load(weights_of(name), variant=name, device=device, dtype=dtype, backend=backend)


def weights_of(name: str) -> dict[str, Tensor]:
    """A variant's weights, as the goldens have them, or those of the one that has its shapes."""
    shapes = _manifest()[_SHAPES_OF.get(name, name)]
    arrays = _generator().synthetic_state_dict(shapes)
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


def model_named(
    name: str, dtype: str = "float32", backend: str = "torch", device: str = "cpu"
) -> ts.AutoEncoder:
    """A variant with the goldens' weights, on the CPU, float32 unless asked.

    In PyTorch, unless asked: OpenVINO makes kernels for every size, and tests use many.
    """
    return _model(name, dtype, backend, device)


@lru_cache(maxsize=24)
def _narrow_weights(name: str) -> dict[str, Tensor]:
    shapes = {key: list(shape) for key, shape in shapes_of(narrowed(name)).items()}
    entry = _manifest()[_SHAPES_OF.get(name, name)] | {"shapes": shapes}
    arrays = _generator().synthetic_state_dict(entry)
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


def load_narrow(name: str, dtype: str = "float32") -> ts.AutoEncoder:
    """Load a variant's layers with a quarter of their channels, on the CPU, in PyTorch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variant_detection, "variant_named", narrowed)
        return ts.load(
            _narrow_weights(name), variant=name, device="cpu", dtype=dtype, backend="torch"
        )


_narrow_model = lru_cache(maxsize=24)(load_narrow)


def narrow_model_named(name: str, dtype: str = "float32") -> ts.AutoEncoder:
    """A narrow model; those in the package are what they are."""
    return model_named(name, dtype) if variant_named(name).built_in else _narrow_model(name, dtype)


@pytest.fixture(scope="session")
def narrow() -> Models:
    """``narrow(name)``: see ``narrow_model_named``."""
    return narrow_model_named


@pytest.fixture(scope="session")
def model() -> Models:
    """``model(name)``: see ``model_named``."""
    return model_named


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Callable[[str], dict[str, Tensor]]:
    """``golden(name)``: latents, decoded, images and encoded of the reference implementation.

    The larger ones are not copied here: they are read from the shared folder, where that is.
    """

    def get(name: str) -> dict[str, Tensor]:
        here = GOLDENS / f"{name}.safetensors"
        if not here.exists():
            here = request.getfixturevalue("shared") / "goldens" / here.name
        return load_file(here)

    return get
