"""What a preview costs a sampler: steps of 50 ms with and without one, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType
from typing import Any

import torch

from benchmarks.absent import require
from benchmarks.decoders.ours import load_ours
from benchmarks.weights import SCALE, latents

__all__ = ["PreviewCost", "run_preview"]

_STEPS, _SECONDS = 40, 0.05


@dataclass(frozen=True, slots=True)
class PreviewCost:
    """What steps took.

    Attributes:
        without_ms: Milliseconds a step of every round, by kind of sampler.
        with_ms: The same with a preview.
        shown: Pictures a round, by kind of sampler.
    """

    without_ms: Mapping[str, tuple[float, ...]]
    with_ms: Mapping[str, tuple[float, ...]]
    shown: Mapping[str, float]

    def __str__(self) -> str:
        lines = [f"{'sampler':12} ms a step   with a preview   more   pictures of {_STEPS} steps"]
        for kind, plain in self.without_ms.items():
            ratios = [seen / bare for bare, seen in zip(plain, self.with_ms[kind], strict=True)]
            lines.append(
                f"{kind:12} {median(plain):9.2f} {median(self.with_ms[kind]):16.2f}"
                f" {100 * (median(ratios) - 1):6.1f}% {self.shown[kind]:10.1f}"
            )
        return "\n".join(lines)


class _Sampler:
    """A pipeline whose network takes 50 ms, however many cores it has."""

    def __init__(self, pixels: int, network: Callable[[], object]) -> None:
        from diffusers import DDIMScheduler

        self.scheduler: Any = DDIMScheduler(clip_sample=False)
        self._network, self._start = network, latents(pixels // SCALE, 1)

    def step_ms(self, callback: Callable[..., Any] | None) -> float:
        """Run it; milliseconds a step."""
        self.scheduler.set_timesteps(_STEPS)
        current = self._start
        began = time.perf_counter()
        for index, t in enumerate(self.scheduler.timesteps):
            self._network()
            current = self.scheduler.step(current, t, current, return_dict=False)[0]
            if callback is not None:
                callback(self, index, t, {"latents": current})
        return 1e3 * (time.perf_counter() - began) / _STEPS


def run_preview(model: str, pixels: int, rounds: int, say: Callable[[str], None]) -> PreviewCost:
    """Run samplers that sleep, as with a GPU at work, and that compute on all cores.

    Raises:
        Unavailable: diffusers is not installed.
    """
    require("diffusers")
    say(f"{model} float32, {pixels} x {pixels} pixels, {rounds} rounds after a warm-up")
    ae = load_ours("float32", "torch", "cpu", model=model)
    plain, seen = dict[str, tuple[float, ...]](), dict[str, tuple[float, ...]]()
    shown = dict[str, float]()
    for kind, network in _networks().items():
        sampler, pictures = _Sampler(pixels, network), list[int]()
        found = [_round(ae, sampler, pictures) for _ in range(rounds + 1)][1:]
        plain[kind], seen[kind] = (tuple(each) for each in zip(*found, strict=True))
        shown[kind] = len(pictures) / (rounds + 1)
    return PreviewCost(MappingProxyType(plain), MappingProxyType(seen), MappingProxyType(shown))


def _round(ae: Any, sampler: _Sampler, pictures: list[int]) -> tuple[float, float]:
    """Milliseconds a step, without a preview and with one."""
    from taesd_stream.diffusers import Preview

    bare = sampler.step_ms(None)
    with Preview(ae, lambda picture: pictures.append(1)) as preview:
        return bare, sampler.step_ms(preview)


def _networks() -> dict[str, Callable[[], object]]:
    side = torch.randn(512, 512)

    def compute(times: int) -> None:
        for _ in range(times):
            torch.mm(side, side)

    compute(20)
    began = time.perf_counter()
    compute(20)
    times = max(1, round(20 * _SECONDS / (time.perf_counter() - began)))
    return {"sleeping": lambda: time.sleep(_SECONDS), "computing": lambda: compute(times)}
