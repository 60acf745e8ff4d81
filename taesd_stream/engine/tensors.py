"""Whole tensors, all at hand: pictures, and videos clip by clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor

from taesd_stream.engine.coder import Coder, OnTile, Run
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.engine.streams.frame_windows import check_enough
from taesd_stream.errors import InputError
from taesd_stream.models.network import Network
from taesd_stream.models.spec import ModelSpec
from taesd_stream.models.timing import DecodeTiming, EncodeTiming
from tiling import Size

__all__ = ["as_batch", "decode_clip", "encode_clip", "run_pictures", "tensor_workload"]


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


def run_pictures(
    coder: Coder, source: Tensor, options: TileOptions, on_tile: OnTile | None
) -> Tensor:
    """(N, C, h, w) to what the network makes of it, (N, C', H, W), not clamped."""
    count = source.shape[0]
    run = _begin(coder, source, _whole_workload(count, count), options)
    out = _room(coder, run, source, count)
    _fill(run, source, out, lambda step: step, on_tile)
    return out


def decode_clip(
    coder: Coder,
    timing: DecodeTiming,
    latents: Tensor,
    options: TileOptions,
    on_tile: OnTile | None,
) -> Tensor:
    """(T, C, h, w) latents of one video to its frames, (T', 3, H, W), not clamped."""
    total = latents.shape[0]
    source = latents[: timing.usable(total)]
    frames = timing.frames(total)
    run = _begin(coder, source, _whole_workload(source.shape[0], frames), options)
    out = _room(coder, run, source, frames)
    _fill(run, source, out, lambda raw: timing.frame(raw, total), on_tile)
    return out


def encode_clip(
    coder: Coder,
    timing: EncodeTiming,
    frames: Tensor,
    options: TileOptions,
    on_tile: OnTile | None,
) -> Tensor:
    """(T, 3, H, W) frames of one video to its latents, (T', C, h, w)."""
    length = timing.group or frames.shape[0]
    made = []
    for group in torch.split(frames, length):
        zeros = torch.zeros_like(group[:1]).expand(timing.zeros, -1, -1, -1)
        repeats = group[-1:].expand(timing.missing(group.shape[0]), -1, -1, -1)
        source = torch.cat([zeros, group, repeats]) if len(zeros) + len(repeats) else group
        steps = source.shape[0] // timing.shrink
        run = _begin(coder, source, _whole_workload(source.shape[0], frames.shape[0]), options)
        made.append(_room(coder, run, source, steps))
        _fill(run, source, made[-1], lambda step: step, on_tile)
    latents = made[0] if len(made) == 1 else torch.cat(made)
    return latents[: latents.shape[0] - timing.tail]


def as_batch(clips: Sequence[Tensor]) -> Tensor:
    """Clips of one shape as one tensor; a single one is not copied."""
    return clips[0][None] if len(clips) == 1 else torch.stack(list(clips))


def _begin(coder: Coder, source: Tensor, workload: Workload, options: TileOptions) -> Run:
    plane = Size(*source.shape[2:])
    return coder.once(coder.plan(plane, workload, options), plane)


def _room(coder: Coder, run: Run, source: Tensor, steps: int) -> Tensor:
    return torch.zeros(
        (steps, coder.network.out_channels, run.made.height, run.made.width),
        dtype=coder.settings.tensor_dtype,
        device=source.device,
    )


def _fill(
    run: Run,
    source: Tensor,
    out: Tensor,
    place: Callable[[int], int | None],
    on_tile: OnTile | None,
) -> None:
    """Compute ``source`` into ``out``; ``place`` tells where each output step goes, if anywhere."""
    exact = run.plan.overlap == "exact"
    for block, tile in run.tiles(source, on_tile):
        steps, y, x = block.slices
        for step, pixels in zip(range(steps.start, steps.stop), tile, strict=True):
            index = place(step)
            if index is None:
                continue
            if exact:
                out[index, :, y, x] = pixels
            else:
                out[index, :, y, x] += pixels.to(out)
