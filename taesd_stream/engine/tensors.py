"""Whole tensors decoded and encoded: pictures, and videos clip by clip, all under one plan."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf, prod

import torch
from torch import Tensor

from taesd_stream.engine.clips import Place, as_it_is, decoded_clip, encoded_clip
from taesd_stream.engine.coder import Coder
from taesd_stream.engine.gradients.function import Way, with_gradient
from taesd_stream.engine.gradients.pulling import Outward
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.engine.run import OnTile, Run
from taesd_stream.engine.streams.frame_windows import check_enough
from taesd_stream.errors import InputError
from tiling import Size, TilePlan

__all__ = ["TensorRun", "computed", "tensor_workload"]


def tensor_workload(
    coder: Coder, leading: tuple[int, ...], action: str, frames: int | None
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
    if not coder.network.sees_other_steps:
        return Workload(count, count)
    alone = (1, leading[0]) if coder.network.in_chunks else (leading[0], 1)
    clips, steps = leading if len(leading) == 2 else alone
    if action == "encode":
        return Workload(steps, count)
    check_enough(coder.spec, steps)
    return Workload(steps, clips * coder.spec.timing.frames(steps))


class TensorRun:
    """Pictures, or clips, that are all at hand, decoded or encoded under one plan.

    Args:
        coder: The decoder or the encoder.
        options: How the work is cut into tiles.
        on_tile: Told after each tile how much is done, and of how much.
    """

    def __init__(self, coder: Coder, options: TileOptions, on_tile: OnTile | None) -> None:
        self._coder, self._options, self._on_tile = coder, options, on_tile
        self._limits: tuple[float, float] | None = None

    def decode(self, latents: Tensor) -> Tensor:
        """(N, C, h, w) or (N, T, C, h, w) latents to (N, 3, H, W) or (N, T', 3, H, W) in [0, 1].

        Raises:
            InputError: There are too few latents, or nothing fits the budget.
        """
        self._limits = 0, 1
        return self._all(latents, "decode", self._decode_clip)

    def encode(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) or (N, T, 3, H, W) in [0, 1] to (N, C, h, w) or (N, T', C, h, w) latents.

        Raises:
            InputError: This model makes several latents of one picture, or nothing fits the budget.
        """
        made_of_one = self._coder.spec.encode_timing.latents(1)
        if self._coder.remembers and images.dim() == 4 and made_of_one != 1:
            raise InputError(
                f"images: expected a video, (N, T, 3, H, W), since {self._coder.spec.name} makes"
                f" {made_of_one} latents of one picture; found {tuple(images.shape)}"
            )
        return self._all(images, "encode", self._encode_clip)

    def _all(
        self, source: Tensor, action: str, of_clip: Callable[[TilePlan, Tensor], Tensor]
    ) -> Tensor:
        """The output for all pictures, or for all clips, each by ``of_clip``."""
        leading, coder = tuple(source.shape[:-3]), self._coder
        workload = tensor_workload(coder, leading, action, None)
        plan = coder.plan(Size(*source.shape[-2:]), workload, self._options)
        if not coder.network.sees_other_steps:
            pictures = source.flatten(0, -4)
            out = self._compute(plan, pictures, pictures.shape[0])
            return out.view(*leading, *out.shape[1:])
        alone = source[None] if coder.network.in_chunks else source[:, None]
        clips = source if source.dim() == 5 else alone
        made = [of_clip(plan, clip) for clip in clips]
        if source.dim() == 4:
            return torch.cat(made)
        return made[0][None] if len(made) == 1 else torch.stack(made)  # one alone is not copied

    def _decode_clip(self, plan: TilePlan, latents: Tensor) -> Tensor:
        return decoded_clip(self._coder.spec.timing, latents, partial(self._compute, plan))

    def _encode_clip(self, plan: TilePlan, frames: Tensor) -> Tensor:
        return encoded_clip(self._coder.spec.encode_timing, frames, partial(self._compute, plan))

    def _compute(
        self,
        plan: TilePlan,
        source: Tensor,
        steps: int,
        place: Place = as_it_is,
    ) -> Tensor:
        """Compute ``source`` to (steps, C, H, W), on its device; with a gradient if it has one.

        Args:
            place: Tells where each output step goes, if anywhere.
        """
        coder, plane = self._coder, Size(*source.shape[2:])

        def forward(source: Tensor) -> Tensor:
            run = Run(coder, plan, plane, goes_on=False)
            made = computed(coder, run, source, steps, on_tile=self._on_tile, place=place)
            return made if self._limits is None else made.clamp_(*self._limits)

        def backward(source: Tensor, within: Tensor | None, gradient: Tensor) -> Tensor:
            outward = Outward(gradient, place, self._limits)
            if within is not None:
                outward = Outward(gradient * within, place)
            return coder.backward.run(back, source, outward)

        if not (source.requires_grad and torch.is_grad_enabled()):
            return forward(source)
        workload = Workload(source.shape[0], source.shape[0])
        back = coder.plan(plane, workload, self._options, backward=True)
        # What patches add up to before it is cut to the limits, no single one of them tells.
        is_cut = plan.overlap != "exact" and self._limits is not None
        return with_gradient(Way(forward, backward, self._within if is_cut else None), source)

    def _within(self, made: Tensor) -> Tensor:
        """Where what was made has been cut to no limit."""
        least, most = self._limits or (-inf, inf)
        return (made > least) & (made < most)


def computed(
    coder: Coder,
    run: Run,
    source: Tensor,
    steps: int,
    *,
    on_tile: OnTile | None = None,
    place: Place = as_it_is,
) -> Tensor:
    """What a run makes of the next steps, (T, C, h, w), on their device.

    Args:
        coder: What the run is of.
        run: Computes them.
        source: The next steps.
        steps: T, the output steps that are wanted.
        on_tile: Told after each tile how much is done, and of how much.
        place: Tells where each output step goes, if anywhere.
    """
    is_exact = run.plan.overlap == "exact"
    empty = torch.empty if is_exact else torch.zeros
    out = empty(
        (steps, coder.network.out_channels, *run.made),
        dtype=coder.settings.tensor_dtype,
        device=source.device,
    )
    for step, (y, x), pixels in run.parts(source, on_tile, home=source.device):
        index = place(step)
        if index is None:
            continue
        if is_exact:
            out[index, :, y, x] = pixels
        else:
            out[index, :, y, x] += pixels.to(out)
    return out
