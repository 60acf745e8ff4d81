"""The jobs of the GPU: batches of 512x512 pictures, the card's own rate, the largest picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.absent import Unavailable
from benchmarks.cases import Case
from benchmarks.decoders import Decoder, open_decoder, preload
from benchmarks.task import Arguments, Kind, Task, tensor_bytes
from benchmarks.weights import SCALE, latents

__all__ = ["DECODE", "LARGEST", "MATMUL", "MATMUL_SIDE", "PIXELS", "largest_that_fits"]

PIXELS = 512
MATMUL_SIDE = 8192
_SIDES = (512, 1024, 2048, 4096, 8192, 16384)


def _case(arguments: Arguments) -> Case:
    family, precision = arguments["family"], arguments["precision"]
    tiled = family == "ours"
    return Case(
        f"{family}-{precision}", family, precision, "", undivided=not tiled,
        memory=arguments.get("memory", "auto"),
    )  # fmt: skip


def _preload(arguments: Arguments) -> None:
    if not torch.cuda.is_available():
        raise Unavailable(f"PyTorch {torch.__version__} finds no CUDA GPU")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if arguments.get("family"):
        preload(_case(arguments))


def _open_decode(arguments: Arguments, threads: int) -> Task:
    """Decode ``batch`` pictures of 512x512, latents and pictures on the GPU."""
    z = latents(PIXELS // SCALE, arguments["batch"]).cuda()
    decoder = open_decoder(_case(arguments), PIXELS, threads, device="cuda")

    def run() -> Tensor:
        with torch.inference_mode():
            made = decoder.decode(z)
        torch.cuda.synchronize()
        return made

    return Task(run, decoder.detail, output_bytes=tensor_bytes, on_gpu=True)


def _open_matmul(arguments: Arguments, threads: int) -> Task:
    """Multiply two large bfloat16 matrices: the most that can be hoped for of this card."""
    left, right = (
        torch.randn(MATMUL_SIDE, MATMUL_SIDE, device="cuda", dtype=torch.bfloat16) for _ in "ab"
    )

    def run() -> Tensor:
        made = left
        for _ in range(arguments["repeats"]):
            made = left @ right
        torch.cuda.synchronize()
        return made

    return Task(run, f"{MATMUL_SIDE} x {MATMUL_SIDE} bfloat16", tensor_bytes, on_gpu=True)


def _open_largest(arguments: Arguments, threads: int) -> Task:
    """Double the side of a picture until it no longer fits ``limit_bytes`` of the GPU's memory.

    Latents and picture are the caller's, in the host's memory.
    """
    total_bytes = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, arguments["limit_bytes"] / total_bytes))
    case = _case(arguments)

    def run() -> int:
        return largest_that_fits(
            lambda side: open_decoder(case, side, threads, device="cuda"), _SIDES
        )

    return Task(
        run,
        detail=f"sides {_SIDES} pixels, within {arguments['limit_bytes']} bytes",
        values=lambda side: {"largest_side_pixels": float(side)},
        on_gpu=True,
    )


def largest_that_fits(opened: Callable[[int], Decoder], sides: tuple[int, ...]) -> int:
    """The last of the rising ``sides``, in pixels, before memory ran out; 0 if none fits."""
    fits = 0
    for side in sides:
        try:
            with torch.inference_mode():
                opened(side).decode(latents(side // SCALE)).cpu()
        except torch.cuda.OutOfMemoryError:
            break
        fits = side
        torch.cuda.empty_cache()
    return fits


DECODE = Kind(_preload, _open_decode)
MATMUL = Kind(_preload, _open_matmul)
LARGEST = Kind(_preload, _open_largest)
