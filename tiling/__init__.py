"""Geometry, plans and schedules: integers and callables; no model, no video."""

from tiling.backoff import Backoff
from tiling.blend import crops, windows
from tiling.footprint import POINTWISE, Footprint, halo, reads, scale
from tiling.grid import Block, Cover, Grid
from tiling.interval import Interval, Region, Size
from tiling.plan import BandPlan, MemoryPlan, PassPlan, TilePlan, choose_tile, format_bytes, plural
from tiling.view import WHOLE, View, around

__all__ = [
    "POINTWISE",
    "WHOLE",
    "Backoff",
    "BandPlan",
    "Block",
    "Cover",
    "Footprint",
    "Grid",
    "Interval",
    "MemoryPlan",
    "PassPlan",
    "Region",
    "Size",
    "TilePlan",
    "View",
    "around",
    "choose_tile",
    "crops",
    "format_bytes",
    "halo",
    "plural",
    "reads",
    "scale",
    "windows",
]
