"""Device, dtype and backend: what a caller may ask for, resolved once."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import torch

from taesd_stream.errors import InputError, MissingExtraError

__all__ = ["BACKENDS", "PROVIDERS", "Settings", "dtype_named", "is_int8", "resolve_settings"]

BACKENDS = ("torch", "openvino", "onnxruntime")
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
}
"""ONNX Runtime's execution providers by the names that they have here."""

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int8)
_SHORT_NAMES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_BY_BACKEND = {
    "torch": (torch.float32, torch.float16, torch.bfloat16, torch.float64),
    "openvino": (torch.float32, torch.bfloat16, torch.int8),
    "onnxruntime": (torch.float32,),
}
_EXTRAS = {"openvino": "openvino", "onnxruntime": "onnx"}


@dataclass(frozen=True, slots=True)
class Settings:
    """The device, dtype and backend that a model computes with.

    Attributes:
        device: Where.
        dtype: In which precision.
        backend: With which kernels.
        provider: Of ONNX Runtime, by its name here; "cpu" with other backends.
    """

    device: torch.device
    dtype: torch.dtype
    backend: str
    provider: str = "cpu"

    @property
    def tensor_dtype(self) -> torch.dtype:
        """The dtype of tiles between runs of layers, and of results."""
        return self.dtype if self.backend == "torch" else torch.float32

    @property
    def backend_name(self) -> str:
        """The backend as it is asked for, with a provider that is not the usual one."""
        return self.backend if self.provider == "cpu" else f"{self.backend}:{self.provider}"

    def on_torch(self) -> Settings:
        """The same with PyTorch's own kernels, which have no 8 bits."""
        dtype = torch.float32 if self.dtype == torch.int8 else self.dtype
        return Settings(self.device, dtype, "torch")

    def __str__(self) -> str:
        return f"{self.device} {_name(self.dtype)} {self.backend_name}"


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
        backend: "torch", "openvino" (on a CPU), "onnxruntime" (the same, or with ":" and one of
            ``PROVIDERS``), or "auto": openvino where it is installed, runs on the device and
            computes in the dtype, since there it is the quicker one.
        compilable: Whether all layers of the model can be compiled.

    Raises:
        InputError: A name is unknown, the device is not there, or they do not go together.
        MissingExtraError: The library of the backend is not installed.

    >>> str(resolve_settings("cpu", "bf16", "torch"))
    'cpu bfloat16 torch'
    """
    backend, provider = _with_provider(backend)
    # Others compute elsewhere by themselves: tiles lie in the host's memory.
    is_ours = device == "auto" and backend == "onnxruntime"
    where = torch.device("cpu") if is_ours else _resolve_device(device)
    precision = _resolve_dtype(dtype, where)
    fits = compilable and where.type == "cpu" and precision in _BY_BACKEND["openvino"]
    if backend == "auto":
        # 8 bits are to be had from openvino alone.
        wants_it = precision == torch.int8 or (fits and _has_quicker_kernels())
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
    if backend != "torch":
        _check_compiling(backend, where, compilable)
        _check_provider(provider)
    return Settings(where, precision, backend, provider)


def _with_provider(backend: str) -> tuple[str, str]:
    """A backend that was asked for, and ONNX Runtime's provider."""
    name, colon, provider = str(backend).partition(":")
    if name not in ("auto", *BACKENDS) or (colon and name != "onnxruntime"):
        raise InputError(f"backend: expected auto or {', '.join(BACKENDS)}, found {backend!r}")
    if colon and provider.lower() not in PROVIDERS:
        raise InputError(
            f"backend: expected onnxruntime with one of :{', :'.join(PROVIDERS)}, found {backend!r}"
        )
    return name, provider.lower() or "cpu"


def _check_compiling(backend: str, device: torch.device, compilable: bool) -> None:
    if device.type != "cpu":
        raise InputError(
            f"backend: expected torch on {device}, found {backend}, whose tiles lie in the host's"
            " memory; give --device cpu (device= in Python) with it"
        )
    if not compilable:
        raise InputError(
            f"backend: expected torch for this model, found {backend}, which has no kernels for its"
            " layers; leave it out, and int8 with it"
        )
    if not _is_installed(backend):
        raise MissingExtraError(
            f"backend: {backend} is not installed; pip install 'taesd-stream[{_EXTRAS[backend]}]'"
        )


def _check_provider(provider: str) -> None:
    if provider == "cpu":
        return
    import onnxruntime

    there = onnxruntime.get_available_providers()
    if PROVIDERS[provider] not in there:
        known = ", ".join(name for name, own in PROVIDERS.items() if own in there)
        raise InputError(
            f"backend: expected a provider that this ONNX Runtime has ({known}), found {provider};"
            " install the package of ONNX Runtime that has it, in the place of onnxruntime"
        )


def is_int8(dtype: str | torch.dtype) -> bool:
    """Whether 8 bits are asked for, which have to be calibrated."""
    return dtype == torch.int8 or (isinstance(dtype, str) and dtype.lower() == "int8")


def _has_quicker_kernels() -> bool:
    """Whether there are those that "auto" takes in the place of PyTorch's."""
    return _is_installed("openvino")


def _is_installed(backend: str) -> bool:
    return find_spec(backend) is not None


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

    >>> dtype_named("fp16"), dtype_named("float8")
    (torch.float16, None)
    """
    by_name = _SHORT_NAMES | {_name(each): each for each in _DTYPES}
    chosen = by_name.get(dtype.lower()) if isinstance(dtype, str) else dtype
    return chosen if chosen in _DTYPES else None
