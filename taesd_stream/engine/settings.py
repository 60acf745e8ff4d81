"""Device, dtype and backend: what a caller may ask for, resolved once."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from taesd_stream.errors import InputError

__all__ = ["BACKENDS", "Settings", "resolve_settings"]

BACKENDS = ("torch",)
_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model computes.

    Attributes:
        device: Where.
        dtype: In which precision.
        backend: With which kernels.
    """

    device: torch.device
    dtype: torch.dtype
    backend: str

    @property
    def tensor_dtype(self) -> torch.dtype:
        """What tiles are kept in between runs of layers, and results come in."""
        return self.dtype if self.backend == "torch" else torch.float32

    def __str__(self) -> str:
        return f"{self.device} {str(self.dtype).removeprefix('torch.')} {self.backend}"


def resolve_settings(
    device: str | torch.device = "auto", dtype: str | torch.dtype = "auto", backend: str = "auto"
) -> Settings:
    """Turn what was asked for into what will be used.

    Args:
        device: "auto" takes a CUDA GPU, else Apple's, else the CPU.
        dtype: "auto" is float32 on a CPU and float16 on a GPU; or float32, float16, bfloat16 (also
            fp32, fp16, bf16), by name or as torch's.
        backend: "auto" or "torch".

    Raises:
        InputError: A name is unknown, or the device is not there.

    >>> str(resolve_settings("cpu", "bf16"))
    'cpu bfloat16 torch'
    """
    if backend not in ("auto", *BACKENDS):
        raise InputError(f"backend: expected auto or {', '.join(BACKENDS)}, found {backend!r}")
    chosen = _resolve_device(device)
    return Settings(chosen, _resolve_dtype(dtype, chosen), "torch")


def _resolve_device(device: str | torch.device) -> torch.device:
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(
            f"device: expected auto, cpu, cuda, cuda:N or mps, found {device!r}"
        ) from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (chosen.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }.get(chosen.type)
    if there is None:
        raise InputError(f"device: expected auto, cpu, cuda, cuda:N or mps, found {device!r}")
    if not there:
        raise InputError(
            f"device: {device} is not available to this PyTorch ({torch.__version__});"
            " use --device cpu, or install a PyTorch built for it"
        )
    return chosen


def _resolve_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    chosen = _DTYPES.get(dtype.lower()) if isinstance(dtype, str) else dtype
    if chosen is None or chosen not in _DTYPES.values():
        raise InputError(
            f"dtype: expected auto, float32, float16 or bfloat16, found {str(dtype)!r}"
        )
    return chosen
