"""Geometry, plans and schedules: integers and callables; no model, no video."""

from tiling.backoff import Backoff
from tiling.blend import crops, windows
from tiling.footprint import POINTWISE, Footprint, halo, out_size, reads, scale
from tiling.interval import Interval, Region, Size
from tiling.plan import Block, Cover, Grid, PassPlan, TilePlan, choose_tile, format_bytes

__all__ = [
    "POINTWISE",
    "Backoff",
    "Block",
    "Cover",
    "Footprint",
    "Grid",
    "Interval",
    "PassPlan",
    "Region",
    "Size",
    "TilePlan",
    "choose_tile",
    "crops",
    "format_bytes",
    "halo",
    "out_size",
    "reads",
    "scale",
    "windows",
]
