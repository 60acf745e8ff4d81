"""Geometry, plans and schedules: integers and callables; no model, no video."""

from tiling.backoff import Backoff
from tiling.blend import patches, weights
from tiling.effort import Effort, Moved
from tiling.footprint import POINTWISE, Footprint, halo, reads, scale
from tiling.grid import Block, Cover, Grid
from tiling.interval import Interval, Region, Size, chunks
from tiling.plan import PassPlan, TilePlan, choose_tile
from tiling.unit_plan import UnitPlan
from tiling.view import WHOLE, View, around
from tiling.waiting_plans import BandPlan, StatePlan, StorageKind
from tiling.words import format_bytes, plural

__all__ = [
    "POINTWISE",
    "WHOLE",
    "Backoff",
    "BandPlan",
    "Block",
    "Cover",
    "Effort",
    "Footprint",
    "Grid",
    "Interval",
    "Moved",
    "PassPlan",
    "Region",
    "Size",
    "StatePlan",
    "StorageKind",
    "TilePlan",
    "UnitPlan",
    "View",
    "around",
    "choose_tile",
    "chunks",
    "format_bytes",
    "halo",
    "patches",
    "plural",
    "reads",
    "scale",
    "weights",
]
