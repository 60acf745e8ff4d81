"""Device, dtype and backend: what a caller may ask for, resolved once."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import torch

from taesd_stream.errors import InputError, MissingExtraError

__all__ = ["BACKENDS", "Settings", "dtype_named", "is_int8", "resolve_settings"]

BACKENDS = ("torch", "openvino")
_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int8)
_SHORT_NAMES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_BY_BACKEND = {
    "torch": (torch.float32, torch.float16, torch.bfloat16, torch.float64),
    "openvino": (torch.float32, torch.bfloat16, torch.int8),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """The device, dtype and backend that a model computes with.

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
        """The dtype of tiles between runs of layers, and of results."""
        return self.dtype if self.backend == "torch" else torch.float32

    def on_torch(self) -> Settings:
        """The same with PyTorch's own kernels, which have no 8 bits."""
        dtype = torch.float32 if self.dtype == torch.int8 else self.dtype
        return Settings(self.device, dtype, "torch")

    def __str__(self) -> str:
        return f"{self.device} {_name(self.dtype)} {self.backend}"


def resolve_settings(
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    backend: str = "auto",
    *,
    compilable: bool = True,
) -> Settings:
    """Turn what was asked for into what will be used.

    Args:
        device: "auto" takes a CUDA GPU, else Apple's, else the CPU.
        dtype: "auto" is float32 on a CPU and float16 on a GPU; or float32, float16, bfloat16 (also
            fp32, fp16, bf16), float64 (for checks of gradients) or int8, by name or as torch's.
        backend: "torch", "openvino" (on a CPU), or "auto": openvino where it is installed, runs on
            the device and computes in the dtype, since there it is the quicker one.
        compilable: Whether all layers of the model can be compiled.

    Raises:
        InputError: A name is unknown, the device is not there, or they do not go together.
        MissingExtraError: openvino was asked for, or is needed, and is not installed.

    >>> str(resolve_settings("cpu", "bf16", "torch"))
    'cpu bfloat16 torch'
    """
    if backend not in ("auto", *BACKENDS):
        raise InputError(f"backend: expected auto or {', '.join(BACKENDS)}, found {backend!r}")
    where = _resolve_device(device)
    precision = _resolve_dtype(dtype, where)
    fits = compilable and where.type == "cpu" and precision in _BY_BACKEND["openvino"]
    if backend == "auto":
        # 8 bits are to be had from openvino alone.
        wants_it = precision == torch.int8 or (fits and _is_installed())
        backend = "openvino" if wants_it else "torch"
    if precision == torch.float64 and where.type == "mps":
        raise InputError(
            "dtype: expected 32 bits or fewer on mps, found float64; give --device cpu (device= in"
            " Python) with it"
        )
    if precision not in _BY_BACKEND[backend]:
        known = ", ".join(map(_name, _BY_BACKEND[backend]))
        raise InputError(
            f"dtype: expected one of {known} with the backend {backend}, found {_name(precision)}"
        )
    if backend == "openvino":
        _check_openvino(where, compilable)
    return Settings(where, precision, backend)


def _check_openvino(device: torch.device, compilable: bool) -> None:
    if device.type != "cpu":
        raise InputError(
            f"backend: expected torch on {device}, found openvino, which is for the CPU here; give"
            " --device cpu (device= in Python) with it"
        )
    if not compilable:
        raise InputError(
            "backend: expected torch for this model, found openvino, which has no kernels for its"
            " layers; leave it out, and int8 with it"
        )
    if not _is_installed():
        raise MissingExtraError(
            "backend: openvino is not installed; pip install 'taesd-stream[openvino]'"
        )


def is_int8(dtype: str | torch.dtype) -> bool:
    """Whether 8 bits are asked for, which have to be calibrated."""
    return dtype == torch.int8 or (isinstance(dtype, str) and dtype.lower() == "int8")


def _is_installed() -> bool:
    return find_spec("openvino") is not None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _resolve_device(device: str | torch.device) -> torch.device:
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    unknown = InputError(f"device: expected auto, cpu, cuda, cuda:N or mps, found {device!r}")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise unknown from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (chosen.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }.get(chosen.type)
    if there is None:
        raise unknown
    if not there:
        raise InputError(
            f"device: {device} is not available to this PyTorch ({torch.__version__});"
            " use --device cpu (device= in Python), or install a PyTorch built for it"
        )
    return chosen


def _resolve_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    chosen = dtype_named(dtype)
    if chosen is None:
        raise InputError(
            f"dtype: expected auto, float32, float16, bfloat16, float64 or int8, found"
            f" {str(dtype)!r}"
        )
    return chosen


def dtype_named(dtype: str | torch.dtype) -> torch.dtype | None:
    """One of the dtypes that models compute in, by its name or as torch's; None for any other.

    >>> dtype_named("fp16"), dtype_named("float64")
    (torch.float16, None)
    """
    by_name = _SHORT_NAMES | {_name(each): each for each in _DTYPES}
    chosen = by_name.get(dtype.lower()) if isinstance(dtype, str) else dtype
    return chosen if chosen in _DTYPES else None
