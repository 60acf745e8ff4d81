"""Memory that runs out at any moment costs time and nothing else; other errors pass unchanged."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import taesd_stream as ts
from tests.convolution import before_convolutions

Models = Callable[..., ts.AutoEncoder]


@pytest.fixture(scope="session")
def model(narrow: Models) -> Models:
    """Narrow ones: nothing here depends on how wide layers are."""
    return narrow


ON_GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
ON_CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you"
    " tried to allocate 1 bytes. Error code 12 (Cannot allocate memory)"
)


class FailingConvolutions:
    """Comes before every convolution; raises when told to, and counts its calls."""

    def __init__(self, error: Exception, fails: Callable[[int], bool]) -> None:
        self._error = error
        self._fails = fails
        self.calls = 0

    def __call__(self, tensor: Tensor) -> None:
        index = self.calls
        self.calls += 1
        if self._fails(index):
            raise self._error.with_traceback(None)


def install(
    monkeypatch: pytest.MonkeyPatch, error: Exception, fails: Callable[[int], bool]
) -> FailingConvolutions:
    stand_in = FailingConvolutions(error, fails)
    before_convolutions(monkeypatch, stand_in)
    return stand_in


def latents_for(ae: ts.AutoEncoder) -> Tensor:
    shape = (2, ae.spec.latent_channels, 2, 3)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("tile", "error"),
    [(None, ON_GPU), (None, ON_CPU), ((2, 2), ON_CPU)],
    ids=["gpu", "cpu", "tiles"],
)
@pytest.mark.parametrize("name", ["taesd", "taef2"])
def test_a_failure_at_any_convolution_changes_no_pixel(
    name: str, tile: object, error: Exception, model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae = model(name)
    latents = latents_for(ae)[:1]
    expected = ae.decode(latents, tile=tile)
    with monkeypatch.context() as counting:
        calls = install(counting, error, lambda index: False)
        ae.decode(latents, tile=tile)
    assert calls.calls >= 35
    for failing in range(calls.calls):
        with monkeypatch.context() as patch:
            stand_in = install(patch, error, lambda index, failing=failing: index == failing)
            made = ae.decode(latents, tile=tile)
        assert stand_in.calls > calls.calls
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_half_a_tile_does_not_go_on_from_what_its_whole_has_begun(
    model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tile that fails has taken some of what its left neighbour has left, and is cut across x."""
    ae = model("taesd")
    shape = (1, ae.spec.latent_channels, 1, 8)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = ae.decode(latents, tile=None)
    with monkeypatch.context() as counting:
        calls = install(counting, ON_CPU, lambda index: False)
        ae.decode(latents, tile=(1, 4))
    for failing in range(calls.calls // 2, calls.calls):
        with monkeypatch.context() as patch:
            install(patch, ON_CPU, lambda index, failing=failing: index == failing)
            made = ae.decode(latents, tile=(1, 4))
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_a_failure_while_encoding_or_streaming_changes_nothing_either(
    model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae = model("taef2")
    latents = latents_for(ae)
    images = torch.rand(1, 3, 17, 25, generator=torch.Generator().manual_seed(0))
    expected, frames = ae.encode(images), list(ae.stream(latents))
    for failing in (0, 20, 40, 50):
        with monkeypatch.context() as patch:
            install(patch, ON_CPU, lambda index, failing=failing: index == failing)
            torch.testing.assert_close(ae.encode(images), expected, atol=1e-5, rtol=1e-5)
        with monkeypatch.context() as patch:
            install(patch, ON_CPU, lambda index, failing=failing: index == failing)
            streamed = list(ae.stream(latents))
        for made, frame in zip(streamed, frames, strict=True):
            assert abs(made.astype(int) - frame).max() <= 1


@pytest.mark.parametrize("error", [ON_GPU, ON_CPU], ids=["gpu", "cpu"])
def test_memory_that_never_suffices_ends_in_one_error(
    error: Exception, model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, error, lambda index: True)
    ae = model("taesd")
    with pytest.raises(ts.OutOfMemoryError, match="although tiles were cut down") as caught:
        ae.decode(latents_for(ae))
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA error: unspecified launch failure"), KeyError("other")], ids=repr
)
def test_an_error_that_is_not_about_memory_passes_unchanged(
    error: Exception, model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = install(monkeypatch, error, lambda index: index == 7)
    ae = model("taesd")
    with pytest.raises(type(error)) as caught:
        ae.decode(latents_for(ae))
    assert caught.value is error
    assert stand_in.calls == 8


def test_what_was_too_large_for_one_frame_is_not_tried_for_the_next(
    model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae = model("taesd")
    latents = latents_for(ae)
    failures = 0

    def fails_when_wide(index: int) -> bool:
        nonlocal failures
        failures += index == 30
        return index == 30

    install(monkeypatch, ON_CPU, fails_when_wide)
    shrunk: list[tuple[int, int]] = []
    frames = ae.stream(latents, on_tile=lambda done, total: shrunk.append((done, total)))
    next(frames)
    # The first frame's one tile failed and was cut in two; the second frame begins with two.
    assert [done for done, _ in shrunk] == [256, 384]
    next(frames)
    assert [done for done, _ in shrunk[2:]] == [256, 384]
    assert failures == 1
