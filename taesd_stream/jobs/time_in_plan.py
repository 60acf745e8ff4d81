"""The time that a plan says: read if it is known, and else tried where it is worth it."""

from __future__ import annotations

from taesd_stream.engine.options import ModelOptions
from taesd_stream.engine.speed_trial import learn_speed
from taesd_stream.jobs.decoding_run import FrameDecoding, PictureDecoding

__all__ = ["tell_time"]

_WORTH_PLANNING = 1e10
_WORTH_DECODING = 5e11


def tell_time(
    decoding: FrameDecoding | PictureDecoding, options: ModelOptions, *, planning: bool = False
) -> None:
    """Have the plan of a decode say how long it takes.

    Where the speed of this machine is not known, the model is tried for about a second:
    for a decode that has some seconds' worth of multiply-adds on a CPU, or where only the plan is
    asked for.

    Args:
        options: What the model was loaded with.
        planning: Whether the plan is all that is wanted.
    """
    run = decoding.run
    if run.step_count is None or run.plan.seconds is not None:
        return
    work = run.plan.effort.multiplied * run.step_count
    if work < (_WORTH_PLANNING if planning else _WORTH_DECODING):
        return
    speed = learn_speed(decoding.ae, run.plan, options)
    if speed is not None:
        run.tell_time(speed)
