"""Does the pipeline wait? Decoding alone, encoding alone, and both as ``render`` does them."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from benchmarks.machine import cores
from benchmarks.process import WorkerProcess
from benchmarks.protocol import Job
from benchmarks.results import Section, to_row
from benchmarks.runner import Measured, alternate

__all__ = ["overlap_values", "run_video"]

_KINDS = ("video-decode", "video-encode", "video-render")
_WHAT = {
    "video-decode": "ae.stream alone",
    "video-encode": "video.open_writer alone, fed with ready frames",
    "video-render": "ts.render of the same to .mp4",
}


def run_video(
    pixels: int,
    frames: int,
    rounds: int,
    say: Callable[[str], None],
    *,
    dtype: str = "float32",
    backend: str = "torch",
    device: str = "cpu",
) -> list[Section]:
    """One section: the three alternate, each over the whole clip of square frames."""
    arguments = {
        "pixels": pixels,
        "frames": frames,
        "dtype": dtype,
        "backend": backend,
        "device": device,
    }
    workers = [WorkerProcess(Job(kind, kind, arguments, cores())) for kind in _KINDS]
    title = f"{frames} frames of {pixels} x {pixels} pixels, {device} {backend} {dtype}, h264"
    say(title)
    found = alternate(workers, rounds, say=say)
    rows = []
    for each in found:
        rate = {"frames_per_second": frames / median(each.seconds)} if each.turns else {}
        rows.append(to_row(each, {}, pixels=pixels, what=_WHAT[each.name], values=rate))
    return [Section("video", title, (), tuple(rows), overlap_values(*found))]


def overlap_values(decode: Measured, encode: Measured, render: Measured) -> dict[str, float | None]:
    """Render's time against the others': each the median of the rounds' ratios.

    Against their sum, 1 means that nothing overlaps; against the longer, 1 means that all does, if
    each could have the whole machine.
    """
    rounds = list(zip(decode.seconds, encode.seconds, render.seconds, strict=False))
    if not rounds:
        return {"render_over_sum": None, "render_over_longer": None}
    return {
        "render_over_sum": median(both / (one + other) for one, other, both in rounds),
        "render_over_longer": median(both / max(one, other) for one, other, both in rounds),
    }
