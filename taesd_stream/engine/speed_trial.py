"""Trials of about a second that tell how quick a model is on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from taesd_stream.engine.autoencoder import AutoEncoder
from taesd_stream.engine.coder import Coder
from taesd_stream.engine.cores import CrowdWatch, keeping_to, shares_of_cores
from taesd_stream.engine.load import load_with
from taesd_stream.engine.loaded_model import Action, coder_of
from taesd_stream.engine.options import ModelOptions, TileOptions
from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.engine.run import Run
from taesd_stream.engine.speeds import Speed, keep_speed
from taesd_stream.errors import InputError
from taesd_stream.models import empty_network, variant_named
from tiling import Effort, Size, TilePlan

__all__ = ["learn_speed"]

_SIDES = (4, 8, 16, 32, 64, 128, 256)
# So long others are watched first.
_LOOK_SECONDS = 0.1
# A larger trial takes four times as long; the best of three counts, or of as many as there is time
# for.
_LONG_ENOUGH = 0.08
_TIMES = 3
_ENOUGH_SECONDS = 0.3
# Real pictures are larger than the caches and go into files: decodes of 512 to 1024 pixels a side
# and of clips took 1.06 to 1.26 times as long as the best of a trial told, whatever the model,
# dtype and backend.
_WHOLE_TAKES = 1.15
# OpenVINO compiles for every size, so that there is but one: of no more than so many multiply-adds.
_MOST_COMPILED = 2e10


def learn_speed(ae: AutoEncoder, plan: TilePlan, options: ModelOptions) -> Speed | None:
    """Find the speed at which a plan of this model is carried out, and keep it.

    Where other programs hold the cores of a CPU, the time of one core tells how quick it would be
    without them, if not as well: that is not kept.

    Args:
        ae: A model, or the outline of one: then one of the same shapes is tried.
        options: What it was loaded with.

    Returns:
        The speed; None where it cannot be found.
    """
    if any(each.is_meta for each in coder_of(ae, _action(plan)).network.parameters()):
        if plan.where.split(" ")[1] == "int8":  # which layers are rounded, weights tell
            return None
        ae = _stand_in(ae, options)
    coder = coder_of(ae, _action(plan)).exact  # the arithmetic of shortcuts is the same
    if plan.where.startswith("cpu"):
        return _learned_on_cpu(coder, plan)
    return _kept(plan, _Trial(coder, plan).speed())


def _learned_on_cpu(coder: Coder, plan: TilePlan) -> Speed | None:
    cores = plan.cores or shares_of_cores(None)[0].threads
    watch = CrowdWatch(cores)
    time.sleep(_LOOK_SECONDS)
    if not watch.saw_a_crowd():
        speed = _Trial(coder, plan).speed()
        if not watch.saw_a_crowd():
            return _kept(plan, speed)
    with keeping_to(1):  # threads that wait for each other take time, too
        if plan.cores is None:  # who computes has threads of its own
            return _Trial(coder, plan, lambda: time.process_time() / cores).speed()
        return _Trial(coder, replace(plan, threads=1, cores=1), time.process_time).speed()


def _kept(plan: TilePlan, speed: Speed | None) -> Speed | None:
    if speed is not None:
        keep_speed(plan, speed)
    return speed


def _action(plan: TilePlan) -> Action:
    return "decode" if plan.action == "decode" else "encode"


def _stand_in(ae: AutoEncoder, options: ModelOptions) -> AutoEncoder:
    """A model of the same shapes, which computes as quickly, if nothing that is of use."""
    shapes = empty_network(variant_named(ae.spec.name).decoder).shapes()
    drawn = {f"decoder.{name}": torch.randn(shape) / 32 for name, shape in shapes.items()}
    return load_with(drawn, replace(options, variant=ae.spec.name))


class _Trial:
    """A model at work on pictures of noise, as many side by side as the plan has tiles.

    Args:
        coder: The decoder or the encoder.
        plan: The plan whose speed is to be found: where it is computed, and on how many cores.
        clock: Tells the seconds that count.
    """

    def __init__(
        self, coder: Coder, plan: TilePlan, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._coder, self._plan, self._clock = coder, plan, clock
        _, self._down = coder.network.scale
        # Of a video tiles are computed side by side, of pictures pictures.
        self._steps = 2 * coder.network.rate[1] if coder.remembers else plan.threads
        self._tiles = plan.threads if coder.remembers else 1

    def speed(self) -> Speed | None:
        """The speed; None where pictures of these sizes would be computed otherwise."""
        if "openvino" in self._plan.where:
            return self._speed_of_one()
        tried: list[tuple[Effort, float]] = []
        for side in _SIDES:
            plan = self._planned(side)
            if plan is None or (tried and tried[-1][1] >= _LONG_ENOUGH):
                break
            tried.append(self._tried(plan))
        return Speed.of(tried[0], tried[-1]) if tried else None

    def _speed_of_one(self) -> Speed | None:
        chosen: TilePlan | None = None
        for side in _SIDES:
            plan = self._planned(side)
            if plan is None or (chosen and plan.effort.multiplied > _MOST_COMPILED):
                break
            chosen = plan
        if chosen is None:
            return None
        tried = self._tried(chosen)
        return Speed.of(tried, tried)

    def _tried(self, plan: TilePlan) -> tuple[Effort, float]:
        """The effort of a picture, or two steps of a video, and the seconds that it takes."""
        noise = torch.rand(
            self._steps, self._coder.network.channels, *plan.latents.scale(self._down)
        )
        self._run(plan, noise)  # it prepares
        seconds = list[float]()
        while len(seconds) < _TIMES and sum(seconds) < _ENOUGH_SECONDS:
            start = self._clock()
            self._run(plan, noise)
            seconds.append(self._clock() - start)
        return plan.effort * self._steps, min(seconds) * _WHOLE_TAKES

    def _run(self, plan: TilePlan, noise: Tensor) -> None:
        run = Run(self._coder, plan, Size(*noise.shape[-2:]), goes_on=False)
        for _, tile in run.tiles(noise, None):
            if tile.is_cuda:
                torch.cuda.synchronize(tile.device)

    def _planned(self, side: int) -> TilePlan | None:
        """The plan of a picture; None if it cannot be, or would be computed in another way."""
        size = Size(side, self._tiles * side).scale(self._down)
        options = TileOptions(side if self._tiles > 1 else None, threads=self._plan.cores)
        workload = Workload(self._steps, None)
        try:
            plan = self._coder.plan(size, workload, options)
        except InputError:  # of a budget that is too small
            return None
        return plan if plan.where == self._plan.where else None
