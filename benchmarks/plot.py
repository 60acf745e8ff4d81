"""Results as pictures: dots for the table, lines against size for the scaling."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.absent import require
from benchmarks.results import Report, Row, Section

__all__ = ["draw"]

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKERS = "osD^vP"
_MIB = 2**20
_TICKS = tuple(2.0**power for power in range(-8, 9))


def draw(report: Report, path: Path) -> bool:
    """Draw what there is to draw; False if there is nothing.

    Raises:
        Unavailable: matplotlib is not installed.
    """
    require("matplotlib")
    import matplotlib as mpl

    mpl.use("Agg")
    tables = [each for each in report.sections if each.kind == "table" and each.references]
    scalings = [each for each in report.sections if each.kind == "scaling"]
    if tables:
        figure = _draw_table(tables)
    elif scalings:
        figure = _draw_scaling(scalings[0])
    else:
        return False
    machine = report.machine
    caption = f"{machine.cpu}, {machine.cores} cores, {machine.date[:10]}"
    figure.text(0.99, 0.01, caption, ha="right", va="bottom", fontsize=9, color="#555555")
    figure.savefig(path, dpi=150)
    return True


def _draw_table(sections: Sequence[Section]) -> Any:
    """A row of dots for each case, a colour for each size: speed left, memory right."""
    from matplotlib import pyplot

    reference = sections[0].references[0]
    names = [
        row.name
        for row in sections[0].rows
        if any(_row(section, row.name).median_seconds is not None for section in sections)
    ]
    figure, (left, right) = pyplot.subplots(
        1, 2, sharey=True, figsize=(11, 1.8 + 0.32 * len(names)), layout="constrained"
    )
    figure.get_layout_engine().set(rect=(0, 0.04, 1, 0.96))
    for number, section in enumerate(sections):
        style = {
            "color": _COLOURS[number % len(_COLOURS)],
            "marker": _MARKERS[number % len(_MARKERS)],
            "label": section.title,
            "s": 42,
            "zorder": 3,
        }
        base = _row(section, reference).working_bytes if reference in section.references else None
        rows = [_row(section, name) for name in names]
        speeds = [(row.ratios.get(reference), place) for place, row in enumerate(rows)]
        shares = [(_share(row.working_bytes, base), place) for place, row in enumerate(rows)]
        left.scatter(*_points(speeds), **style)
        right.scatter(*_points(shares), **style)
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    _ratio_axis(left, f"speed, {reference} = 1 (further right is faster)")
    _ratio_axis(right, f"peak memory, {reference} = 1 (further left is less)")
    left.legend(loc="best", fontsize=9)
    return figure


def _draw_scaling(section: Section) -> Any:
    """Lines against the side of the picture: megapixels a second above, memory below."""
    from matplotlib import pyplot
    from matplotlib.ticker import FixedLocator, NullLocator

    figure, (upper, lower) = pyplot.subplots(
        2, 1, sharex=True, figsize=(7.5, 7), layout="constrained"
    )
    figure.get_layout_engine().set(rect=(0, 0.03, 1, 0.97))
    names = list(dict.fromkeys(row.name for row in section.rows))
    for number, name in enumerate(names):
        rows = [row for row in section.rows if row.name == name and row.median_seconds]
        style = {"color": _COLOURS[number], "marker": _MARKERS[number], "label": name}
        sides = [row.pixels for row in rows]
        upper.plot(sides, [row.values["pixels_per_second"] / 1e6 for row in rows], **style)
        lower.plot(sides, [(row.working_bytes or 0) / _MIB for row in rows], **style)
    lower.set_xscale("log", base=2)
    sides = sorted({row.pixels for row in section.rows})
    lower.xaxis.set_major_locator(FixedLocator(sides))
    lower.xaxis.set_minor_locator(NullLocator())
    lower.set_xticklabels([str(side) for side in sides])
    lower.set_xlabel("pixels along a side")
    upper.set_ylabel("megapixels per second")
    lower.set_ylabel("peak memory without the result, MiB")
    for axes in (upper, lower):
        axes.set_ylim(bottom=0)
        axes.grid(color="#dddddd")
    upper.legend(loc="best")
    return figure


def _ratio_axis(axes: Any, label: str) -> None:
    """Powers of two written as ratios, and a line at 1."""
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.set_xscale("log", base=2)
    low, high = axes.get_xlim()
    ticks = [tick for tick in _TICKS if low / 1.01 <= tick <= high * 1.01] or [1.0]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}" for tick in ticks])
    axes.axvline(1, color="#888888", linewidth=1, zorder=1)
    axes.grid(color="#e5e5e5", zorder=0)
    axes.set_xlabel(label)


def _row(section: Section, name: str) -> Row:
    return next(row for row in section.rows if row.name == name)


def _share(held: int | None, base: int | None) -> float | None:
    return held / base if held and base else None


def _points(found: Sequence[tuple[float | None, int]]) -> tuple[list[float], list[int]]:
    there = [(value, place) for value, place in found if value is not None]
    return [value for value, _ in there], [place for _, place in there]
