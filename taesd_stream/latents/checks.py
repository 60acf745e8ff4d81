"""Checks of latents, before anything is computed from them."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Final

import psutil
import torch

from taesd_stream.errors import InputError, LatentsError, NonFiniteError
from video.errors import first_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from contextlib import AbstractContextManager

__all__ = [
    "FLOATING_DTYPES",
    "are_finite",
    "as_latents_errors",
    "check_finite",
    "dtype_name",
    "refuse_broken",
    "refuse_unreadable",
    "require_channels",
    "require_floating",
    "require_memory",
    "span_is_finite",
]

FLOATING_DTYPES: Final = frozenset(
    {
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.float8_e4m3fn,
        torch.float8_e5m2,
        torch.float8_e4m3fnuz,
        torch.float8_e5m2fnuz,
    }
)
"""The dtypes that latents may be stored in."""

_ALWAYS_ALLOWED_BYTES: Final = 2**28


@contextlib.contextmanager
def as_latents_errors() -> Iterator[None]:
    """Turn what the packages below say of a file into a LatentsError."""
    try:
        yield
    except LatentsError:
        raise
    except InputError as error:
        raise LatentsError(str(error)) from error


@contextlib.contextmanager
def refuse_broken(found: str, remedy: str, *errors: type[Exception]) -> Iterator[None]:
    """Turn what a library raises over a broken file into a LatentsError.

    The message is ``found``, what the library (or the system) says in brackets, and ``remedy``. A
    LatentsError goes through.
    """
    try:
        yield
    except LatentsError:
        raise
    except errors as error:
        said = getattr(error, "strerror", None) or first_line(error)
        raise LatentsError(f"{found} ({said}): {remedy}") from error


def refuse_unreadable(name: str) -> AbstractContextManager[None]:
    """Turn what the system says of a file into a LatentsError."""
    found = f"{name}: expected a file that can be read, found none"
    return refuse_broken(found, "check the path and its permissions", OSError)


def are_finite(numbers: torch.Tensor) -> bool:
    """Whether a tensor of 16 bits or more, of any shape, holds neither NaN nor infinity.

    >>> are_finite(torch.tensor([0.0, 1.0])), are_finite(torch.tensor([0.0, torch.nan]))
    (True, False)
    """
    if not numbers.numel():
        return True
    return span_is_finite(*torch.aminmax(numbers.detach()))  # both are NaN where one number is


def span_is_finite(low: torch.Tensor, high: torch.Tensor) -> bool:
    """Whether the least and the largest of some numbers, each NaN where one is, are finite."""
    if math.isfinite(high - low):  # one answer of the device instead of two
        return True
    return math.isfinite(low) and math.isfinite(high)


def check_finite(
    latent: torch.Tensor, index: int, what: str = "latent", *, offset: tuple[int, int] = (0, 0)
) -> None:
    """Refuse a latent (or ``what`` else), (C, h, w) of any floating dtype, with NaN or infinity.

    ``index`` is its number in time, from 0, and becomes the error's ``frame``; where it is part of
    a larger one, ``offset`` is its first row and column there.

    Raises:
        NonFiniteError: it names the frame, the first such position, and how many there are.

    >>> check_finite(torch.zeros(4, 8, 8), 0)
    """
    numbers = latent.float() if latent.dtype.itemsize == 1 else latent
    if are_finite(numbers):
        return
    finite = torch.isfinite(numbers)
    position = tuple((~finite).nonzero()[0].tolist())
    count = int((~finite).sum())
    channel, row, column = position
    place = (channel, row + offset[0], column + offset[1])
    raise NonFiniteError(
        f"expected finite {what}s, found {float(numbers.detach()[position])} in {what} {index} at "
        f"(channel, row, column) {place}, {count} of its {finite.numel()} values in all: "
        f"make the {what}s anew, or leave that frame out",
        frame=index,
    )


def dtype_name(dtype: object) -> str:
    """The name of a dtype as users write it, such as ``float16``."""
    return str(dtype).removeprefix("torch.")


def require_floating(dtype: object, name: str) -> None:
    """Refuse every dtype (torch's, or the name of another library's) that latents cannot have."""
    if dtype in FLOATING_DTYPES:
        return
    found = dtype_name(dtype)
    hint = "convert them to float32 or float16"
    if found in {"uint8", "|u1"}:
        hint = "8-bit latents are read from RGBA PNG files only; convert these to float32"
    raise LatentsError(f"{name}: expected floating-point latents, found {found}: {hint}")


def require_channels(channels: int, wanted: Collection[int] | None, name: str) -> None:
    """Refuse latents whose channel count is not among those the caller can use."""
    if wanted is not None and channels not in wanted:
        counts = " or ".join(str(count) for count in sorted(wanted))
        raise LatentsError(
            f"{name}: expected latents of {counts} channels, found {channels}: "
            "use the model that these latents were made for"
        )


def require_memory(nbytes: int, what: str) -> None:
    """Refuse an allocation that the host's free memory cannot hold, before it is tried."""
    if nbytes <= _ALWAYS_ALLOWED_BYTES:
        return
    available = psutil.virtual_memory().available
    if nbytes > available:
        raise LatentsError(
            f"{what} take {nbytes / 2**30:.1f} GiB and {available / 2**30:.1f} GiB of memory are "
            "free: read fewer at a time, or check that the file is what it claims to be"
        )
