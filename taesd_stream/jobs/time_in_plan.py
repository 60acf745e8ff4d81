"""The time that a plan says: read if it is known, and else tried where it is worth it."""

from __future__ import annotations

from typing import Protocol

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.options import ModelOptions
from taesd_stream.engine.speed_trial import learn_speed
from taesd_stream.engine.speeds import Speed
from tiling import TilePlan

__all__ = ["tell_time"]

_WORTH_PLANNING = 1e10
_WORTH_WORKING = 5e11


class _Timed(Protocol):
    """A run whose plan can say how long it takes."""

    @property
    def plan(self) -> TilePlan | None: ...

    @property
    def step_count(self) -> int | None: ...

    def tell_time(self, speed: Speed) -> None: ...


def tell_time(
    ae: AutoEncoder, run: _Timed, options: ModelOptions, *, planning: bool = False
) -> None:
    """Have the plan of a run say how long it takes.

    Where the speed of this machine is not known, the model is tried for about a second:
    for a run that has some seconds' worth of multiply-adds on a CPU, or where only the plan is
    asked for.

    Args:
        ae: The model.
        run: Made with it; its size is known.
        options: What the model was loaded with.
        planning: Whether the plan is all that is wanted.
    """
    if run.step_count is None or (plan := run.plan) is None or plan.seconds is not None:
        return
    work = plan.effort.multiplied * run.step_count
    if work < (_WORTH_PLANNING if planning else _WORTH_WORKING):
        return
    speed = learn_speed(ae, plan, options)
    if speed is not None:
        run.tell_time(speed)
