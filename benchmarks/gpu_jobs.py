"""The jobs of the GPU: squares in batches, a clip, the card's own rate, the largest picture."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.absent import Unavailable
from benchmarks.cases import OURS, Case
from benchmarks.decoders import Decoder, open_decoder, preload
from benchmarks.decoders.ours import as_family
from benchmarks.machine import cores
from benchmarks.protocol import Job
from benchmarks.task import Arguments, Kind, Task, tensor_bytes
from benchmarks.video_model import clip_latents, frames_of, load_video_model
from benchmarks.weights import SCALE, latents

__all__ = [
    "DECODE",
    "LARGEST",
    "MATMUL",
    "MATMUL_SIDE",
    "PIXELS",
    "VIDEO",
    "decode_job",
    "largest_that_fits",
    "video_job",
]

PIXELS = 512
MATMUL_SIDE = 8192
_TURN_PIXELS = 64 * PIXELS**2
_DRY_REPEATS = 4
_WARM_UPS = 3
_SIDES = (512, 1024, 2048, 4096, 8192, 16384)


def decode_job(family: str, precision: str, device: str, pixels: int, batch: int = 1) -> Job:
    """The job of decoding squares of ``pixels``, so many at a time, latents and pictures there.

    A turn makes as many pixels for every size and batch, so that none is over too soon to be timed.

    Args:
        family: Whose decoder.
        precision: The name of a dtype.
        device: "cuda"; or "cpu", where a stand-in takes the place of CUDA graphs.
    """
    repeats = max(1, _TURN_PIXELS // (batch * pixels**2)) if device == "cuda" else _DRY_REPEATS
    arguments = {
        "family": _there(family, device),
        "precision": precision,
        "device": device,
        "pixels": pixels,
        "batch": batch,
        "repeats": repeats,
        "frames": batch * repeats,
    }
    return Job("gpu-decode", f"{family}-{precision}", arguments, _threads(device))


def video_job(family: str, precision: str, device: str, clip: tuple[int, int, int]) -> Job:
    """The job of decoding a clip of TAEHV's latents one by one, as they come.

    Args:
        family: Of ours.
        precision: The name of a dtype.
        device: As ``decode_job``.
        clip: How many latents, their height and their width.
    """
    arguments = {
        "family": _there(family, device),
        "precision": precision,
        "device": device,
        "clip": clip,
        "frames": frames_of(clip[0]),
    }
    return Job("gpu-video", f"{family}-{precision}", arguments, _threads(device))


def _threads(device: str) -> int:
    """All cores beside a GPU; a dry run is over sooner with one, whoever else is at work."""
    return cores() if device == "cuda" else 1


def _there(family: str, device: str) -> str:
    return "ours-stand-in" if (family, device) == ("ours", "cpu") else family


def _case(arguments: Arguments) -> Case:
    family, precision = arguments["family"], arguments["precision"]
    tiled = family in OURS
    name = f"{family}-{precision}"
    memory = arguments.get("memory", "auto")
    return Case(name, family, precision, "", undivided=not tiled, memory=memory)


def _preload(arguments: Arguments) -> None:
    if arguments.get("device", "cuda") == "cuda":
        if not torch.cuda.is_available():
            raise Unavailable(f"PyTorch {torch.__version__} finds no CUDA GPU")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    if arguments.get("family"):
        preload(_case(arguments))


def _open_decode(arguments: Arguments, threads: int) -> Task:
    """Decode squares, latents and pictures on the device."""
    device, pixels = arguments["device"], arguments["pixels"]
    z = latents(pixels // SCALE, arguments["batch"]).to(device)
    decoder = open_decoder(_case(arguments), pixels, threads, device=device)

    def run() -> Tensor:
        with torch.inference_mode():
            for _ in range(arguments["repeats"]):
                made = decoder.decode(z)
        _wait_for(device)
        return made

    # Kernels are chosen, and graphs recorded, at the first few times.
    for _ in range(_WARM_UPS):
        run()
    return Task(
        run,
        decoder.detail,
        output_bytes=tensor_bytes,
        pictures=lambda made: decoder.pictures(made)[0],
        on_gpu=device == "cuda",
    )


def _open_video(arguments: Arguments, threads: int) -> Task:
    """Decode a clip of latents that come one by one, to frames on the device."""
    device = arguments["device"]
    ae = as_family(load_video_model(arguments["precision"], device), arguments["family"])
    z = clip_latents(arguments["clip"]).to(device)

    def run() -> Tensor:
        made = deque(ae.open_video(z).tensors(), maxlen=1)
        _wait_for(device)
        return made[0]

    for _ in range(_WARM_UPS):
        run()
    return Task(
        run,
        str(ae.plan(tuple(z.shape[1:]))),
        output_bytes=tensor_bytes,
        pictures=lambda made: made.cpu().permute(2, 0, 1).float() / 255,
        on_gpu=device == "cuda",
    )


def _wait_for(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


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
VIDEO = Kind(_preload, _open_video)
