"""Fixtures shared by all tests.

The process that only hands tests out imports this, too: what is heavy is imported when it is used.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# PyTorch reads it as it is imported. The tensors of these tests are small: threads would only wait
# for each other.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_sessionstart() -> None:
    """Lets no collection look at what is only being loaded."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Lets no collection look at modules and tests any more, of which nothing is garbage."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _cache_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests compile and calibrate stays out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAESD_STREAM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _auto_takes_pytorch() -> Iterator[Callable[[], bool]]:
    """The backend "auto" compiles nothing: OpenVINO does for every model and size, tests have many.

    Not so in processes that tests start, and where they use ``auto_takes_openvino``.
    """
    from taesd_stream.engine import settings

    usual = settings._has_quicker_kernels
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "_has_quicker_kernels", lambda: False)
        yield usual


@pytest.fixture
def auto_takes_openvino(
    _auto_takes_pytorch: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backend "auto" is what it is for users: OpenVINO, where that is installed."""
    from taesd_stream.engine import settings

    monkeypatch.setattr(settings, "_has_quicker_kernels", _auto_takes_pytorch)


SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of goldens, real weights and real latents that may lie beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED}: this test reads real weights, latents or media from it")
    return SHARED


@pytest.fixture(scope="session")
def kernels_sum_in_one_order() -> None:
    """Skips unless this machine's convolution gives a crop the bits that it gives the whole."""
    import torch

    from taesd_stream.models.layers.convolve import convolve

    generator = torch.Generator().manual_seed(0)
    plane = torch.randn(1, 64, 96, 96, generator=generator).to(memory_format=torch.channels_last)
    weight = torch.randn(64, 64, 3, 3, generator=generator)
    whole = convolve(plane, weight)
    for a, b, c, d in [(0, 66, 30, 96), (9, 82, 5, 79), (20, 33, 11, 24), (50, 53, 7, 11)]:
        if not torch.equal(
            convolve(plane[..., a:b, c:d], weight), whole[..., a : b - 2, c : d - 2]
        ):
            pytest.skip("this machine's convolutions depend on the shape in their last bits")
