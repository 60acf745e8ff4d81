"""Plans as tests want them, whatever the memory."""

from __future__ import annotations

from taesd_stream.models.network import Network
from tiling import (
    WHOLE,
    Grid,
    Interval,
    PassPlan,
    Size,
    StatePlan,
    StorageKind,
    TilePlan,
    View,
)

__all__ = ["plan_for"]


def plan_for(
    network: Network,
    tile: Size,
    batch: int = 1,
    *,
    segment: int | None = None,
    storage: StorageKind = "device",
    continued: bool = False,
    view: View = WHOLE,
    scratch: bool = False,
    recorded_bytes: int = 0,
    threads: int = 1,
    cores: int | None = None,
) -> TilePlan:
    """A plan for planes of any size in tiles of at most ``tile`` latents; its figures are none."""
    grid = Grid.of(tile, tile, continued=continued)
    return TilePlan(
        model="a network",
        action="decode",
        frames=None,
        latents=tile,
        pixels=tile,
        overlap="exact",
        patches=((Interval(0, tile.height),), (Interval(0, tile.width),)),
        batch=batch,
        passes=(PassPlan(grid, work=1, peak_elements=1, peak_bytes=1),),
        work=1,
        undivided_work=1,
        budget_bytes=1,
        where="here",
        state=StatePlan(segment, storage, 0, 0) if network.stateful else None,
        view=view,
        scratch=scratch,
        recorded_bytes=recorded_bytes,
        threads=threads,
        cores=cores,
    )
