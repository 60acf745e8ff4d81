"""Budgets in bytes, what is free, and which errors mean that memory ran out."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil
import torch

from taesd_stream.errors import InputError
from tiling import format_bytes

__all__ = ["Budget", "default_budget", "is_out_of_memory", "peak_bytes", "read_budget", "release"]

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_UNITS = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


@dataclass(frozen=True, slots=True)
class Budget:
    """Memory to stay under.

    Attributes:
        bytes: How much.
        is_firm: Whether the caller named it. A tile that the caller named may exceed a budget that
            was only read off the machine, never one that was asked for.
    """

    bytes: int
    is_firm: bool

    def __str__(self) -> str:
        return f"{format_bytes(self.bytes)} {'asked for' if self.is_firm else 'to be had'}"


def read_budget(memory: int | str | Budget, device: torch.device) -> Budget:
    """The budget that was asked for; "auto" is read off the machine.

    Args:
        memory: Bytes, a size such as "2GiB", "auto", or a budget that was read already.

    Raises:
        InputError: It is none of these.

    >>> read_budget("2GiB", torch.device("cpu"))
    Budget(bytes=2147483648, is_firm=True)
    """
    if isinstance(memory, Budget):
        return memory
    if memory == "auto":
        return Budget(default_budget(device), is_firm=False)
    return Budget(parse_bytes(memory), is_firm=True)


def parse_bytes(value: int | str) -> int:
    """A number of bytes given as such or as text with a unit: "2GiB", "512 MB", "1.5g".

    Raises:
        InputError: It is neither, or not positive.

    >>> parse_bytes("2GiB")
    2147483648
    """
    if isinstance(value, int) and not isinstance(value, bool):
        count = value
    else:
        match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([kmgt]i?)?b?\s*", str(value).lower())
        if match is None:
            raise InputError(
                f"memory: expected bytes or a size such as 2GiB or 512MB, found {value!r}"
            )
        count = int(float(match[1]) * (_UNITS | _BINARY_UNITS)[match[2] or ""])
    if count < 1:
        raise InputError(f"memory: expected at least 1 byte, found {value!r}")
    return count


def free_bytes(device: torch.device) -> int:
    """Memory that can still be allocated on a device, as far as its driver tells."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + held)
    if device.type == "mps":
        used = torch.mps.driver_allocated_memory()
        return max(0, torch.mps.recommended_max_memory() - used)
    return min(int(psutil.virtual_memory().available), _left_in_container())


def _left_in_container(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that the control group of a container still allows; 2**62 without one."""
    for limit_name, used_name in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            limit, used = (root / limit_name).read_text(), (root / used_name).read_text()
        except OSError:
            continue
        if limit.strip().isdigit() and used.strip().isdigit():
            return max(0, int(limit) - int(used))
    return 1 << 62


def default_budget(device: torch.device) -> int:
    """Half of what is free; three quarters on a GPU, which is rarely shared."""
    share = 0.75 if device.type == "cuda" else 0.5
    return max(1 << 20, int(free_bytes(device) * share))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is an allocator's own word that there is no memory left.

    PyTorch raises a class of its own on a GPU; its CPU allocator and oneDNN raise a plain
    RuntimeError, recognised by the words that their sources give it and nothing else does.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("CUDA error"))
    (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if type(error) is not RuntimeError:
        return False
    # Word for word: what oneDNN says of a primitive *descriptor* is that it has no such kernel.
    return str(error) == "could not create a primitive" or any(
        words in str(error)
        for words in (
            "DefaultCPUAllocator: can't allocate memory",
            "DefaultCPUAllocator: not enough memory",
            "could not create a memory object",
            "std::bad_alloc",
        )
    )


def peak_bytes(device: torch.device) -> int:
    """The most memory this process has held.

    On a GPU that is what PyTorch has taken there, with the memory that CUDA graphs compute in; else
    everything that is resident.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def release(device: torch.device) -> None:
    """Hand memory that the allocator keeps for reuse back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    elif (trim := _malloc_trim()) is not None:
        trim(0)


@lru_cache(maxsize=1)
def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's function that hands back pages kept between blocks of its heap; None without it."""
    if sys.platform != "linux":
        return None
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
