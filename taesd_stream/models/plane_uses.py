"""The planes that there are while the passes of a network are run, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from taesd_stream.models.layers.moments import MixedMoments, Moments
from taesd_stream.models.layers.passes import Pass

__all__ = ["PlaneUse", "plane_uses"]


@dataclass(frozen=True, slots=True)
class PlaneUse:
    """What a pass does with planes; their numbers are those of the passes that made them, from 1.

    Attributes:
        held: The planes that are held while it is run, its own included, if that is kept; the one
            in whose place it is written is not counted again.
        replaces: The plane in whose place its own is written, element by element; None for a place
            of its own.
        frees: The planes that nobody reads after it.
        gathers: The moments of its own plane that others go by; None where nobody does.
    """

    held: tuple[int, ...]
    replaces: int | None
    frees: tuple[int, ...]
    gathers: type[Moments] | None


def plane_uses(passes: Sequence[Pass]) -> tuple[PlaneUse, ...]:
    """What every pass does with planes; the last one's output is nobody's plane."""
    last_read = {0: 0}
    for index, each in enumerate(passes):
        last_read |= dict.fromkeys(_read_by(passes, each), index)
    uses = []
    held: set[int] = set()
    for index, each in enumerate(passes):
        number = index + 1
        is_kept = each.keeps and number < len(passes)
        replaces = _replaced(passes, each) if is_kept else None
        if replaces is not None and (last_read[replaces] > index or replaces not in held):
            replaces = None
        if is_kept:
            held.add(number)
        if replaces is not None:
            held.remove(replaces)
        frees = tuple(each for each in sorted(held - {number}) if last_read[each] <= index)
        uses.append(PlaneUse(tuple(sorted(held)), replaces, frees, _gathered(passes, number)))
        held.difference_update(frees)
    return tuple(uses)


def _kept_planes(passes: Sequence[Pass], planes: Iterable[int]) -> set[int]:
    """The planes that are read for the sake of these, of which some may be made again."""
    found: set[int] = set()
    for plane in planes:
        if plane < 0:
            continue  # noise is made wherever it is read
        if plane == 0 or passes[plane - 1].keeps:
            found.add(plane)
        else:
            found |= _kept_planes(passes, passes[plane - 1].reads)
    return found


def _read_by(passes: Sequence[Pass], each: Pass) -> set[int]:
    added = () if each.adds is None else each.adds.planes
    return _kept_planes(passes, (*each.reads, *added))


def _replaced(passes: Sequence[Pass], each: Pass) -> int | None:
    """The plane that is read by a pass element by element only, and is as large as its own."""
    adds = each.adds
    if adds is None or adds.through is not None or len(adds.planes) > 1:
        return None
    (plane,) = adds.planes
    is_kept = plane > 0 and passes[plane - 1].keeps
    return plane if is_kept and plane not in _kept_planes(passes, each.reads) else None


def _gathered(passes: Sequence[Pass], plane: int) -> type[Moments] | None:
    kinds = {
        each.opening.moments for each in passes if each.opening is not None and plane in each.reads
    }
    if not kinds:
        return None
    return MixedMoments if MixedMoments in kinds else Moments
