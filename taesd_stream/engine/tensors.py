"""Decodes and encodes whole tensors: pictures, and videos clip by clip, all under one plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor

from taesd_stream.engine.coder import Coder, OnTile
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.engine.streams.frame_windows import check_enough
from taesd_stream.errors import InputError
from taesd_stream.models.network import Network
from taesd_stream.models.spec import ModelSpec
from taesd_stream.models.timing import DecodeTiming, EncodeTiming
from tiling import Size, TilePlan

__all__ = ["decode_tensor", "encode_tensor", "tensor_workload"]


def _whole_workload(steps: int, pictures: int) -> Workload:
    """The workload of what is all at hand."""
    return Workload(steps=steps, pictures=pictures, ahead=None)


def tensor_workload(
    spec: ModelSpec, network: Network, leading: tuple[int, ...], action: str, frames: int | None
) -> Workload:
    """The workload of a tensor whose axes before the channels are ``leading``.

    Args:
        leading: (N,) or (N, T); () for what comes one by one, ``frames`` in all if that is known.

    Raises:
        InputError: ``frames`` is given and the axes tell, or there are too few latents.
    """
    if not leading:
        return Workload(steps=None, pictures=frames, ahead=1)
    if frames is not None:
        raise InputError(
            f"frames: expected none with axes {leading} before the channels, which tell; found"
            f" {frames}"
        )
    count = prod(leading)
    if not network.stateful:
        return _whole_workload(count, count)
    clips, steps = leading if len(leading) == 2 else (leading[0], 1)
    if action == "encode":
        return _whole_workload(steps, count)
    check_enough(spec, steps)
    return _whole_workload(steps, clips * spec.timing.frames(steps))


def decode_tensor(
    coder: Coder, spec: ModelSpec, latents: Tensor, options: TileOptions, on_tile: OnTile | None
) -> Tensor:
    """(N, C, h, w) or (N, T, C, h, w) latents to (N, 3, H, W) or (N, T', 3, H, W) in [0, 1].

    Raises:
        InputError: There are too few latents, or nothing fits the budget.
    """
    plan = _plan(coder, spec, latents, "decode", options)
    if not coder.remembers:
        return _pictures(coder, plan, latents, on_tile).clamp_(0, 1)
    clips = latents if latents.dim() == 5 else latents[:, None]
    made = [_decode_clip(coder, plan, spec.timing, clip, on_tile).clamp_(0, 1) for clip in clips]
    return torch.cat(made) if latents.dim() == 4 else _as_batch(made)


def encode_tensor(
    coder: Coder, spec: ModelSpec, images: Tensor, options: TileOptions, on_tile: OnTile | None
) -> Tensor:
    """(N, 3, H, W) or (N, T, 3, H, W) in [0, 1] to (N, C, h, w) or (N, T', C, h, w) latents.

    Raises:
        InputError: This model makes several latents of one picture, or nothing fits the budget.
    """
    timing = spec.encode_timing
    if coder.remembers and images.dim() == 4 and timing.latents(1) != 1:
        raise InputError(
            f"images: expected a video, (N, T, 3, H, W), since {spec.name} makes"
            f" {timing.latents(1)} latents of one picture; found {tuple(images.shape)}"
        )
    plan = _plan(coder, spec, images, "encode", options)
    if not coder.remembers:
        return _pictures(coder, plan, images, on_tile)
    clips = images if images.dim() == 5 else images[:, None]
    made = [_encode_clip(coder, plan, timing, clip, on_tile) for clip in clips]
    return torch.cat(made) if images.dim() == 4 else _as_batch(made)


def _plan(
    coder: Coder, spec: ModelSpec, tensor: Tensor, action: str, options: TileOptions
) -> TilePlan:
    """The one plan for all pictures or clips of a tensor."""
    workload = tensor_workload(spec, coder.network, tuple(tensor.shape[:-3]), action, None)
    return coder.plan(Size(*tensor.shape[-2:]), workload, options)


def _pictures(coder: Coder, plan: TilePlan, source: Tensor, on_tile: OnTile | None) -> Tensor:
    flat = source.flatten(0, -4)
    out = _compute(coder, plan, flat, flat.shape[0], place=lambda step: step, on_tile=on_tile)
    return out.view(*source.shape[:-3], *out.shape[1:])


def _decode_clip(
    coder: Coder, plan: TilePlan, timing: DecodeTiming, latents: Tensor, on_tile: OnTile | None
) -> Tensor:
    """(T, C, h, w) latents of one video to its frames, (T', 3, H, W), not clamped."""
    total = latents.shape[0]
    source = latents[: timing.usable(total)]
    return _compute(
        coder,
        plan,
        source,
        timing.frames(total),
        place=lambda raw: timing.frame(raw, total),
        on_tile=on_tile,
    )


def _encode_clip(
    coder: Coder, plan: TilePlan, timing: EncodeTiming, frames: Tensor, on_tile: OnTile | None
) -> Tensor:
    """(T, 3, H, W) frames of one video to its latents, (T', C, h, w)."""
    made = []
    for group in torch.split(frames, timing.group or frames.shape[0]):
        zeros = torch.zeros_like(group[:1]).expand(timing.zeros, -1, -1, -1)
        repeats = group[-1:].expand(timing.missing(group.shape[0]), -1, -1, -1)
        source = torch.cat([zeros, group, repeats]) if len(zeros) + len(repeats) else group
        steps = source.shape[0] // timing.shrink
        made.append(_compute(coder, plan, source, steps, place=lambda step: step, on_tile=on_tile))
    latents = made[0] if len(made) == 1 else torch.cat(made)
    return latents[: latents.shape[0] - timing.tail]


def _as_batch(clips: Sequence[Tensor]) -> Tensor:
    """Clips of one shape as one tensor; a single one is not copied."""
    return clips[0][None] if len(clips) == 1 else torch.stack(list(clips))


def _compute(
    coder: Coder,
    plan: TilePlan,
    source: Tensor,
    steps: int,
    *,
    place: Callable[[int], int | None],
    on_tile: OnTile | None,
) -> Tensor:
    """Compute ``source`` to (steps, C, H, W), on its device.

    Args:
        place: Tells where each output step goes, if anywhere.
    """
    run = coder.once(plan, Size(*source.shape[2:]))
    out = torch.zeros(
        (steps, coder.network.out_channels, run.made.height, run.made.width),
        dtype=coder.settings.tensor_dtype,
        device=source.device,
    )
    exact = plan.overlap == "exact"
    for block, tile in run.tiles(source, on_tile):
        made, y, x = block.slices
        for step, pixels in zip(range(made.start, made.stop), tile, strict=True):
            index = place(step)
            if index is None:
                continue
            if exact:
                out[index, :, y, x] = pixels
            else:
                out[index, :, y, x] += pixels.to(out)
    return out
