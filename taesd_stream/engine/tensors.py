"""Whole tensors, all at hand: pictures, and videos each clip for itself under one plan."""

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

__all__ = ["as_batch", "decode_clips", "encode_clips", "run_pictures", "tensor_workload"]


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
    plan = coder.plan(_plane_of(source), _whole_workload(count, count), options)
    return _computed(coder, plan, source, count, on_tile=on_tile)


def decode_clips(
    coder: Coder,
    timing: DecodeTiming,
    latents: Tensor,
    options: TileOptions,
    on_tile: OnTile | None,
) -> list[Tensor]:
    """(N, T, C, h, w) latents of videos to the frames of each, (T', 3, H, W), not clamped."""
    total = latents.shape[1]
    clips = latents[:, : timing.usable(total)]
    frames = timing.frames(total)
    plan = coder.plan(_plane_of(clips), _whole_workload(clips.shape[1], frames), options)

    def place(raw: int) -> int | None:
        return timing.frame(raw, total)

    return [_computed(coder, plan, clip, frames, on_tile=on_tile, place=place) for clip in clips]


def encode_clips(
    coder: Coder,
    timing: EncodeTiming,
    frames: Tensor,
    options: TileOptions,
    on_tile: OnTile | None,
) -> list[Tensor]:
    """(N, T, 3, H, W) frames of videos to the latents of each, (T', C, h, w)."""
    count = frames.shape[1]
    length = min(timing.group or count, count)
    # Every group, the last one included, is filled up to as many.
    steps = timing.zeros + length + timing.missing(length)
    plan = coder.plan(_plane_of(frames), _whole_workload(steps, count), options)
    made = []
    for clip in frames:
        groups = []
        for group in torch.split(clip, length):
            zeros = torch.zeros_like(group[:1]).expand(timing.zeros, -1, -1, -1)
            repeats = group[-1:].expand(timing.missing(group.shape[0]), -1, -1, -1)
            source = torch.cat([zeros, group, repeats]) if len(zeros) + len(repeats) else group
            steps = source.shape[0] // timing.shrink
            groups.append(_computed(coder, plan, source, steps, on_tile=on_tile))
        latents = groups[0] if len(groups) == 1 else torch.cat(groups)
        made.append(latents[: latents.shape[0] - timing.tail])
    return made


def as_batch(clips: Sequence[Tensor]) -> Tensor:
    """Clips of one shape as one tensor; a single one is not copied."""
    return clips[0][None] if len(clips) == 1 else torch.stack(list(clips))


def _plane_of(source: Tensor) -> Size:
    return Size(*source.shape[-2:])


def _computed(
    coder: Coder,
    plan: TilePlan,
    source: Tensor,
    made: int,
    *,
    on_tile: OnTile | None,
    place: Callable[[int], int | None] = lambda step: step,
) -> Tensor:
    """(N, C, h, w) to ``made`` output steps; ``place`` tells where each goes, if anywhere."""
    run = coder.once(plan, _plane_of(source))
    out = torch.zeros(
        (made, coder.network.out_channels, run.made.height, run.made.width),
        dtype=coder.settings.tensor_dtype,
        device=source.device,
    )
    exact = plan.overlap == "exact"
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
    return out
