"""Speeds of this machine, one for each model and way to compute, kept from one run to the next."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import platform
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from taesd_stream.engine.cores import shares_of_cores
from taesd_stream.models.weights.official import cache_folder
from tiling import Effort, TilePlan
from video.safe_files.replacing import replacing

__all__ = ["Speed", "keep_speed", "kept_speed", "timed"]

_FOLDER = "speeds"


@dataclass(frozen=True, slots=True)
class Speed:
    """The speed at which a network is computed.

    Attributes:
        layer_seconds: What it takes to begin with a layer.
        multiply_add_seconds: What a multiply-add takes, on as many cores as there are.
    """

    layer_seconds: float
    multiply_add_seconds: float

    @classmethod
    def of(cls, small: tuple[Effort, float], large: tuple[Effort, float]) -> Speed:
        """The speed at which two efforts took so many seconds.

        Args:
            small: One that is mostly beginning.
            large: One that is mostly multiplying.

        >>> Speed.of((Effort(10, 100), 30.0), (Effort(10, 1000), 120.0))
        Speed(layer_seconds=2.0, multiply_add_seconds=0.1)
        """
        (few, short), (many, long) = small, large
        determinant = few.begun * many.multiplied - many.begun * few.multiplied
        if determinant > 0:
            layer = (short * many.multiplied - long * few.multiplied) / determinant
            multiply_add = (few.begun * long - many.begun * short) / determinant
            if layer >= 0 and multiply_add > 0:
                return cls(layer, multiply_add)
        return cls(0.0, long / many.multiplied)

    def seconds(self, effort: Effort) -> float:
        """How long an effort takes."""
        return self.layer_seconds * effort.begun + self.multiply_add_seconds * effort.multiplied


def timed(plan: TilePlan, steps: int | None, speed: Speed | None = None) -> TilePlan:
    """A plan that says how long so many steps take, where the speed is known.

    Args:
        steps: Pictures or time steps that are computed; None if nobody knows.
        speed: The speed; None is the one that was kept.
    """
    speed = speed or kept_speed(plan)
    if steps is None or speed is None:
        return plan
    return replace(plan, seconds=speed.seconds(plan.effort * steps))


def kept_speed(plan: TilePlan) -> Speed | None:
    """The speed that was kept for what a plan does; None if there is none, or it is damaged."""
    conditions = _conditions(plan)
    try:
        kept = json.loads(_path(conditions).read_text(encoding="utf-8"))
        speed = Speed(**kept["speed"]) if kept["conditions"] == conditions else None
        is_one = speed is not None and all(_is_time(each) for each in asdict(speed).values())
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return speed if is_one else None


def keep_speed(plan: TilePlan, speed: Speed) -> None:
    """Keep the speed of what a plan does, where the cache folder can be written."""
    conditions = _conditions(plan)
    path = _path(conditions)
    text = json.dumps({"conditions": conditions, "speed": asdict(speed)}, indent=1)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8")


def _is_time(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value) and value >= 0


def _path(conditions: dict[str, str]) -> Path:
    digest = hashlib.blake2b(json.dumps(conditions).encode(), digest_size=16).hexdigest()
    return cache_folder() / _FOLDER / f"{digest}.json"


def _conditions(plan: TilePlan) -> dict[str, str]:
    """All that a speed depends on, besides the effort."""
    device, _, backend = plan.where.split(" ")
    found = {
        "model": plan.model,
        "action": plan.action,
        "where": plan.where,
        "cores": str(plan.cores or shares_of_cores(None)[0].threads),
        "processor": _processor(),
        "torch": torch.__version__,
    }
    if device.startswith("cuda"):
        found["device"] = torch.cuda.get_device_name(device)
    library = backend.partition(":")[0]
    if library != "torch":
        found[library] = _version_of(library)
    return found


def _version_of(library: str) -> str:
    with contextlib.suppress(PackageNotFoundError):
        return version(library)
    # ONNX Runtime comes in packages of several names.
    return str(import_module(library).__version__)


@lru_cache(maxsize=1)
def _processor() -> str:
    """The name of the processor."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
