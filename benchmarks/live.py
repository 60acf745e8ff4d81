"""Latency of live frames: what ``open_stream().push`` takes, frame by frame, and what it holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import quantiles

from benchmarks.decoders.ours import load_ours
from benchmarks.memory import resident_bytes
from benchmarks.weights import SCALE, latents

__all__ = ["Latency", "run_live"]

_DISTINCT = 8
_WARM_UP = 10
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Latency:
    """What frames took.

    Attributes:
        push_ms: Milliseconds from a latent to its frame, for every frame.
        decode_ms: Those of ``decode`` of the same latent, undivided, where it was tried beside.
        resident_bytes: What the process held after the warm-up, half way, and at the end.
    """

    push_ms: tuple[float, ...]
    decode_ms: tuple[float, ...]
    resident_bytes: tuple[int, int, int]

    def __str__(self) -> str:
        cuts = quantiles(self.push_ms, n=100, method="inclusive")
        start, middle, end = (held / _MIB for held in self.resident_bytes)
        return (
            f"push, ms a frame over {len(self.push_ms)}: median {cuts[49]:.2f}, 90% {cuts[89]:.2f},"
            f" 99% {cuts[98]:.2f}, most {max(self.push_ms):.2f}\n"
            f"undivided decode of every tenth of them: median {quantiles(self.decode_ms)[1]:.2f}\n"
            f"resident MiB: {start:.0f} at first, {middle:.0f} half way, {end:.0f} at the end"
        )


def run_live(
    model: str, dtype: str, pixels: int, frames: int, say: Callable[[str], None]
) -> Latency:
    """Push frames one by one, in this process, as a live source does.

    Raises:
        Unavailable: There is no such precision here.
    """
    ae = load_ours(dtype, "torch", "cpu", model=model)
    given = latents(pixels // SCALE, _DISTINCT)
    say(f"{model} {dtype}, {pixels} x {pixels} pixels, {frames} frames")
    with ae.open_stream() as stream:
        for index in range(_WARM_UP):
            stream.push(given[index % _DISTINCT])
        held = [resident_bytes()]
        pushed, decoded = list[float](), list[float]()
        for index in range(frames):
            pushed.append(_timed(partial(stream.push, given[index % _DISTINCT])))
            if index % 10 == 0:
                one = given[index % _DISTINCT][None]
                decoded.append(_timed(partial(ae.decode, one, tile=None)))
            if index == frames // 2:
                held.append(resident_bytes())
        held.append(resident_bytes())
    start, middle, end = held
    return Latency(tuple(pushed), tuple(decoded), (start, middle, end))


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - began)
