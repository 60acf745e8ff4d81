"""The plan of a job on a cluster: its units, the bytes that move, and the time it takes."""

from __future__ import annotations

import math
from dataclasses import replace

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.cores import usable_cores
from taesd_stream.engine.loaded_model import Action, coder_of
from taesd_stream.errors import InputError
from taesd_stream.jobs.cluster.joined_cluster import Cluster
from taesd_stream.jobs.decoding_run import FrameDecoding, PictureDecoding
from taesd_stream.latents import LatentSource
from tiling import TilePlan, UnitPlan

__all__ = ["check_passes", "picture_plan", "video_plan", "weights_bytes", "with_units"]

_STARTING_SECONDS = 3.0
"""Until workers have loaded a small model, as ``python -m benchmarks cluster`` finds it."""

_MOST_MADE_AGAIN = 0.25
"""The share of all work that may be done anew for each unit of a picture."""


def video_plan(decoding: FrameDecoding, cluster: Cluster, each: int) -> TilePlan:
    """The plan of a video that is decoded in segments of so many frames."""
    run, ae, source = decoding.run, decoding.ae, decoding.latents
    total = len(run.numbers)
    count = -(-total // each)
    # Each but the first decodes anew what its model remembers.
    again = (count - 1) * ae.spec.latents_back
    latents = run.step_count or 0
    units = UnitPlan(
        workers=cluster.workers,
        count=count,
        each=min(each, total),
        noun="frame",
        again=again / max(1, latents),
        read_bytes=(latents + again) * _latent_bytes(source),
        written_bytes=None,
        weights_bytes=weights_bytes(ae, "decode"),
    )
    return with_units(run.plan, cluster, units)


def picture_plan(decoding: PictureDecoding, cluster: Cluster, each: int) -> TilePlan:
    """The plan of a picture that is decoded in units of so many rows of tiles."""
    run, source = decoding.run, decoding.latents
    bands = len(run.bands)
    count = -(-bands // each)
    halo = 2 * (decoding.ae.spec.halo or 0) * (count - 1) / source.height
    units = UnitPlan(
        workers=cluster.workers,
        count=count,
        each=min(each, bands),
        noun="row of tiles",
        again=0.0,
        read_bytes=int(_latent_bytes(source) * (1 + halo)),
        written_bytes=decoding.output.channels * run.made.area,
        weights_bytes=weights_bytes(decoding.ae, "decode"),
    )
    return with_units(run.plan, cluster, units)


def check_passes(plan: TilePlan) -> None:
    """Refuse a picture whose tiles wait for all others: each unit would make most of it anew.

    Raises:
        InputError: That.
    """
    *before, _ = plan.passes
    if sum(each.work for each in before) > _MOST_MADE_AGAIN * plan.work:
        raise InputError(
            f"cluster: expected a model whose tiles wait for nothing but what lies around them,"
            f" found {plan.model}, which goes over the whole picture {len(plan.passes)} times;"
            f" {plan.action} it on one machine"
        )


def with_units(plan: TilePlan, cluster: Cluster, units: UnitPlan) -> TilePlan:
    """The plan of work on one machine, as it is shared out on a cluster.

    Args:
        plan: The plan. Its time is that of this machine.
        cluster: Who works.
        units: What they do; how long that takes is found here.
    """
    seconds = None
    if plan.seconds is not None:
        alone = plan.seconds * (1 + units.again)
        if cluster.device == "cpu":
            alone *= (plan.cores or usable_cores()) / cluster.cores
        turns = math.ceil(units.count / units.workers)
        seconds = _STARTING_SECONDS + alone * turns / units.count
    return replace(plan, units=replace(units, seconds=seconds))


def weights_bytes(ae: AutoEncoder, action: Action) -> int:
    """The bytes of one half of a model."""
    network = coder_of(ae, action).network
    return sum(each.numel() * each.element_size() for each in network.parameters())


def _latent_bytes(source: LatentSource) -> int:
    return (source.nbytes or 0) // max(1, source.frames or 0)
