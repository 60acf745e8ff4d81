"""The GPU: frames per second of 512x512 pictures, the share of the card's rate, what fits 2 GiB."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

import torch

from benchmarks.gpu_jobs import MATMUL_SIDE, PIXELS, decode_job
from benchmarks.machine import cores
from benchmarks.process import WorkerProcess
from benchmarks.protocol import Job
from benchmarks.results import Section, to_row
from benchmarks.runner import Measured, alternate
from benchmarks.stats import median_ratio

__all__ = ["BATCHES", "PLANNED", "batch_values", "matmul_flop", "no_gpu", "run_gpu"]

BATCHES = (1, 8, 64)
FLOP_PER_PICTURE = 141e9
"""Floating-point operations of one 512x512 picture: two for each multiply-add."""
LIMIT_BYTES = 2 << 30
_MATMUL = "matmul-bfloat16"
_MATMUL_REPEATS = 20
_REFERENCE = "diffusers-float16"
_CONTENDERS = (
    ("ours", "float16"), ("ours-eager", "float16"), ("ours", "bfloat16"), ("diffusers", "float16"),
    ("compile", "float16"), ("compile", "bfloat16"), ("ours", "float32"), ("plain", "float32"),
)  # fmt: skip
PLANNED = f"""On a machine with a CUDA GPU this would measure, alternating:
- frames/s of {PIXELS}x{PIXELS} pictures in batches of {", ".join(map(str, BATCHES))}:
  {", ".join("-".join(each) for each in _CONTENDERS)} (float32 without tf32)
- the card's bfloat16 rate, by a {MATMUL_SIDE}x{MATMUL_SIDE} matmul, and the share of it reached
- peak memory on the GPU, with and without the pictures themselves
- the largest square picture that fits {LIMIT_BYTES >> 30} GiB of its memory"""


def no_gpu() -> str | None:
    """Why there is nothing to measure, None if there is."""
    if torch.cuda.is_available():
        return None
    return f"no GPU: PyTorch {torch.__version__} finds no CUDA device"


def run_gpu(batches: Sequence[int], rounds: int, say: Callable[[str], None]) -> list[Section]:
    """A section for each batch size, and one for the largest picture."""
    sections = [_one_batch(batch, rounds, say) for batch in batches]
    return [*sections, _largest(say)]


def _one_batch(batch: int, rounds: int, say: Callable[[str], None]) -> Section:
    title = f"batches of {batch} at {PIXELS} x {PIXELS}"
    say(title)
    jobs = [decode_job(*each, "cuda", PIXELS, batch) for each in _CONTENDERS]
    frames = jobs[0].arguments["frames"]
    jobs.append(Job("gpu-matmul", _MATMUL, {"repeats": _MATMUL_REPEATS}, cores()))
    found = alternate([WorkerProcess(job) for job in jobs], rounds, say=say)
    times = {each.name: each.seconds for each in found}
    rows = [
        to_row(
            each, {_REFERENCE: times[_REFERENCE]}, pixels=PIXELS,
            values=batch_values(each, frames, times[_MATMUL]),
        )
        for each in found[:-1]
    ]  # fmt: skip
    matmul = found[-1]
    rate = matmul_flop() / median(matmul.seconds) if matmul.turns else None
    rows.append(to_row(matmul, {}, pixels=0))
    return Section("gpu", title, (_REFERENCE,), tuple(rows), {"matmul_flop_per_second": rate})


def batch_values(
    measured: Measured, pictures: int, matmul_seconds: Sequence[float]
) -> Mapping[str, float]:
    """Frames per second, and the share of the matmul's rate: the median of the rounds' shares.

    Args:
        pictures: That a turn makes.
        matmul_seconds: Of the matmul's turns in the same rounds.
    """
    if not measured.turns:
        return {}
    found = {"frames_per_second": pictures / median(measured.seconds)}
    times_as_fast = median_ratio(matmul_seconds, measured.seconds)
    if times_as_fast is not None:
        found["matmul_share"] = times_as_fast * pictures * FLOP_PER_PICTURE / matmul_flop()
    return found


def matmul_flop() -> float:
    """Floating-point operations of one turn of the matmul."""
    return 2.0 * MATMUL_SIDE**3 * _MATMUL_REPEATS


def _largest(say: Callable[[str], None]) -> Section:
    title = f"the largest square picture within {LIMIT_BYTES >> 30} GiB of the GPU's memory"
    say(title)
    jobs = [
        Job(
            "gpu-largest", f"{family}-float16",
            {
                "family": family, "precision": "float16", "limit_bytes": LIMIT_BYTES,
                "memory": str(LIMIT_BYTES),
            },
            cores(),
        )
        for family in ("ours", "diffusers", "diffusers-tiled")
    ]  # fmt: skip
    found = alternate([WorkerProcess(job) for job in jobs], 1, say=say)
    return Section("gpu", title, (), tuple(to_row(each, {}, pixels=0) for each in found))
