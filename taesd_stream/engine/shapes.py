"""Checks of the tensors that callers hand to a model, which bring them to one shape."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from taesd_stream.errors import InputError
from taesd_stream.models.spec import ModelSpec
from taesd_stream.models.stream_state import StreamState
from taesd_stream.models.variants_of_vae import choices

__all__ = [
    "as_one_picture",
    "as_pictures",
    "as_sizes",
    "check_channels",
    "check_range",
    "checked_length",
]

# Bicubic and Lanczos resizing overshoot at edges: by 0.04 to 0.2 in the worst case.
_OVERSHOOT = 0.05


def as_pictures(tensor: Tensor, what: str, channels: int, model: str) -> Tensor:
    """(N, C, h, w) or (N, T, C, h, w), checked."""
    if not isinstance(tensor, Tensor):
        raise InputError(f"{what}: expected a torch tensor, found {type(tensor).__name__}")
    shape = tuple(tensor.shape)
    if tensor.dim() not in (4, 5) or min(shape) < 1:
        hint = "; put [None] in front of a single picture" if tensor.dim() == 3 else ""
        raise InputError(f"{what}: expected (N, C, h, w) or (N, T, C, h, w), found {shape}{hint}")
    if shape[-3] != channels:
        raise InputError(
            f"{what}: {model} takes {channels} channels, found {shape[-3]} in {shape}; give the"
            " model these were made for, or put the axes in the order N, (T,) C, h, w"
        )
    if not tensor.is_floating_point():
        raise InputError(
            f"{what}: expected floating-point values, found {tensor.dtype}: make them float32,"
            " and divide pictures of 8 bits by 255"
        )
    # Eight bits are for storing: PyTorch computes next to nothing with them.
    return tensor.float() if tensor.dtype.itemsize == 1 else tensor


def check_channels(latents: Tensor, axis: int, spec: ModelSpec) -> None:
    """Refuse latents of other channels than a model's, for those who put it into a pipeline.

    Args:
        latents: Of any axes.
        axis: Where the channels are.
        spec: The model's.

    Raises:
        InputError: It names the models that fit.
    """
    shape = tuple(latents.shape)
    if len(shape) > 3 and shape[axis] != spec.latent_channels:
        raise InputError(
            f"latents: expected {spec.latent_channels} channels for {spec.name}, found"
            f" {shape[axis]} in {shape}; models that fit: {choices(shape[axis])}"
        )


def as_one_picture(latent: Tensor, index: int, spec: ModelSpec) -> Tensor:
    """One latent of a stream as a batch of one."""
    if not isinstance(latent, Tensor) or latent.dim() != 3:
        found = tuple(latent.shape) if isinstance(latent, Tensor) else type(latent).__name__
        is_token = isinstance(latent, Tensor) and latent.dim() == 2
        hint = "; give packed latents to open_latents first" if is_token else ""
        raise InputError(f"latent {index}: expected a tensor (C, h, w), found {found}{hint}")
    return as_pictures(latent[None], f"latent {index}", spec.latent_channels, spec.name)


def as_sizes(shape: Iterable[int], channels: int, who: str) -> tuple[int, ...]:
    """The sizes of a tensor that is to be planned for, checked; ``who`` takes its channels."""
    sizes = tuple(int(size) for size in shape)
    if not 3 <= len(sizes) <= 5 or min(sizes) < 1:
        raise InputError(
            f"shape: expected (C, h, w), (N, C, h, w) or (N, T, C, h, w), found {sizes}"
        )
    if sizes[-3] != channels:
        raise InputError(
            f"shape: expected {channels} channels for {who}, found {sizes[-3]} in {sizes}"
        )
    return sizes


def check_range(image: Tensor, index: int) -> None:
    """Refuse a picture, (3, H, W), whose values are not in [0, 1].

    Raises:
        InputError: It says which range was found, and how to get the right one.
    """
    least, most = (float(each) for each in image.detach().aminmax())
    if least >= -_OVERSHOOT and most <= 1 + _OVERSHOOT:
        return
    advice = "bring it there, or clamp it if it only overshoots a little"
    if least >= 0 and most <= 255:
        advice = "it looks like 0 to 255: divide it by 255"
    elif least >= -1 - _OVERSHOOT and most <= 1 + _OVERSHOOT:
        advice = "it looks like [-1, 1]: give (x + 1) / 2"
    raise InputError(
        f"images: expected values in [0, 1], found {least:.4g} to {most:.4g} in image {index};"
        f" {advice}"
    )


def checked_length(length: int | None, state: StreamState | None) -> int | None:
    """The number of latents that a stream will be given in all; None if nobody knows."""
    before = state.total if state is not None else None
    if length is None:
        return before
    least = state.done if state is not None else 1
    if isinstance(length, bool) or not isinstance(length, int) or not least <= length < 2**31:
        raise InputError(f"length: expected at least {least} latents in all, found {length!r}")
    if before not in (None, length):
        raise InputError(
            f"length: expected {before}, as was said before the state was saved, found {length}"
        )
    return length
