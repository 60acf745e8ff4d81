"""Results as Markdown, for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.accuracy import Accuracy
from benchmarks.results import Report, Row, Section

__all__ = ["report_markdown", "section_markdown"]

_NONE = "-"
_MIB = 2**20
_DISTURBED = 0.1

Column = tuple[str, Callable[[Row], str]]


def report_markdown(report: Report) -> str:
    """All sections below the machine's name and the date."""
    parts = [f"Measured on {report.machine}, by `{report.machine.command}`."]
    parts += [section_markdown(section) for section in report.sections]
    if report.failures:
        parts.append("\n".join(["Failed:", "", *(f"- {each}" for each in report.failures)]))
    return "\n\n".join(parts) + "\n"


def section_markdown(section: Section) -> str:
    """A heading, a table, and what follows from it."""
    columns = _columns(section)
    lines = [
        f"### {section.title}",
        "",
        _line([heading for heading, _ in columns]),
        _line(["---"] + ["---:"] * (len(columns) - 1)),
    ]
    for row in section.rows:
        if row.median_seconds is None:
            lines.append(_line([row.name, row.gone, *[_NONE] * (len(columns) - 2)]))
        else:
            lines.append(_line([cell(row) for _, cell in columns]))
    lines += [f"\n{name.replace('_', ' ')}: {_number(value)}" for name, value in _values(section)]
    if disturbed := [row.name for row in section.rows if row.others_share > _DISTURBED]:
        worst = max(row.others_share for row in section.rows)
        lines.append(
            f"\nNot alone: other programs took up to {worst:.0%} of the machine during turns of"
            f" {len(disturbed)} of these."
        )
    return "\n".join(lines)


def _columns(section: Section) -> list[Column]:
    seconds: Column = ("seconds (fastest to slowest)", _seconds)
    speeds = [_speed(name) for name in section.references]
    memory: list[Column] = [
        ("peak MiB without result", lambda row: _mib(row.working_bytes)),
        ("with", lambda row: _mib(row.peak_bytes)),
    ]
    name: Column = ("", lambda row: row.name)
    if section.kind == "scaling":
        size: Column = ("pixels", lambda row: f"{row.pixels} x {row.pixels}")
        rate: Column = ("megapixels/s", lambda row: _value(row, "pixels_per_second", 1e-6))
        return [name, size, seconds, rate, *memory]
    if section.kind == "video":
        frames: Column = ("frames/s", lambda row: _value(row, "frames_per_second"))
        return [name, frames, seconds, *memory]
    if section.kind == "gpu":
        return [
            name,
            ("frames/s", lambda row: _value(row, "frames_per_second")),
            seconds,
            *speeds,
            ("share of the matmul's rate", lambda row: _value(row, "matmul_share")),
            ("largest side", lambda row: _value(row, "largest_side_pixels")),
            *memory,
        ]
    if section.kind == "suite":
        outcomes = ("passed", "failed", "errors", "skipped")
        counts: list[Column] = [(each, partial(_value, name=each)) for each in outcomes]
        return [name, *counts, seconds]
    if section.kind == "nano":
        return [name, seconds, *speeds, *memory]
    errors: list[Column] = [
        ("largest error", lambda row: _error(row.accuracy)),
        ("PSNR dB", lambda row: _psnr(row.accuracy)),
    ]
    if section.kind == "gpu-decode":
        made: Column = ("frames/s", partial(_value, name="frames_per_second"))
        return [name, made, seconds, *speeds, *memory, *errors]
    return [name, seconds, *speeds, *memory, *errors]


def _speed(reference: str) -> Column:
    def cell(row: Row) -> str:
        ratio = row.ratios.get(reference)
        return _NONE if ratio is None else f"{ratio:.2f}"

    return f"times as fast as {reference}", cell


def _seconds(row: Row) -> str:
    if row.median_seconds is None:
        return _NONE
    return f"{row.median_seconds:.3f} ({min(row.seconds):.3f} to {max(row.seconds):.3f})"


def _value(row: Row, name: str, factor: float = 1.0) -> str:
    value = row.values.get(name)
    return _NONE if value is None else _number(value * factor)


def _number(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _mib(count: int | None) -> str:
    return _NONE if count is None else f"{count / _MIB:,.0f}"


def _error(accuracy: Accuracy | None) -> str:
    return _NONE if accuracy is None else f"{accuracy.max_error:.1e}"


def _psnr(accuracy: Accuracy | None) -> str:
    if accuracy is None:
        return _NONE
    return "equal" if accuracy.psnr_db is None else f"{accuracy.psnr_db:.1f}"


def _values(section: Section) -> Sequence[tuple[str, float | None]]:
    return list(section.values.items())


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
