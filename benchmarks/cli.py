"""The command line: ``python -m benchmarks [table|scaling|nano|video|fine|...] ...``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from benchmarks.absent import Unavailable
from benchmarks.cases import UnknownCaseError, all_cases, case_named, select
from benchmarks.cluster import run_cluster
from benchmarks.fine import run_fine
from benchmarks.gpu import BATCHES, PLANNED, no_gpu, run_gpu
from benchmarks.gpu_all import DRY_RUN, FULL, PLANNED_BESIDES, run_gpu_all
from benchmarks.live import run_live
from benchmarks.machine import this_machine
from benchmarks.markdown import report_markdown
from benchmarks.nano import CASES as NANO_CASES
from benchmarks.nano import run_nano
from benchmarks.page import run_page
from benchmarks.plot import draw
from benchmarks.preview import run_preview
from benchmarks.results import Report, Section
from benchmarks.scaling import CASES as SCALING_CASES
from benchmarks.scaling import SIZES as SCALING_SIZES
from benchmarks.scaling import run_scaling
from benchmarks.sink import run_sink
from benchmarks.start import run_start
from benchmarks.table import LARGEST_TRUTH, run_table
from benchmarks.video import run_video
from benchmarks.weights import SCALE

__all__ = ["main"]

_TABLE_SIZES = (512, 1024, 2048)
_LIVE_PIXELS = 512
_FINE_PIXELS = 1024
_SINK_PIXELS = 256
# These print what they find and write nothing.
_PRINTED = ("cluster", "fine", "live", "page", "preview", "sink", "start")
_OUT = Path(__file__).with_name("results")
_DESCRIPTION = """Measure taesd-stream beside its peers, in one run, in ratios.

  table    every way to decode, at a few sizes: speed, memory, error (what runs by default)
  scaling  time and memory of ours from 512 to 8192 pixels a side
  nano     the small decoder inside the package beside TAESD
  video    decoding alone, encoding alone, and both as render does them
  live     milliseconds a frame from a latent that is pushed, and whether memory stays flat
  page     the live page: milliseconds from push to pixel in a browser, and a soak with viewers
  cluster  1, 2 and 4 workers of a Ray cluster here, and what a simulation makes of more
  fine     a full VAE undivided, in others' tiles and in ours, and what tiles lose
  sink     a sink under a generator that goes on: memory, frames, times, waiting, kill -9
  preview  what a preview costs a sampler of diffusers whose steps take 50 ms
  start    milliseconds from the command to its first frame, phase by phase
  gpu      frames/s, share of the card's rate, largest picture; says so where there is no GPU;
           --all: the test suite, errors, sizes, precisions and videos too, in one report

Each contender has a process of its own and they take turns, one at a time, so that ratios hold
even where times drift. Every command has its own --help."""


def main(argv: Sequence[str]) -> int:
    """Run one command; 0 if nobody failed, 1 if somebody did, 2 for wrong arguments."""
    commands = _COMMANDS
    leads = argv[0] if argv else ""
    chosen = argv if leads in (*commands, *_PRINTED, "-h", "--help") else ["table", *argv]
    options = _parser().parse_args(chosen)
    if getattr(options, "list", False):
        for case in all_cases(options.memory):
            print(f"{case.name:33} {'' if case.by_default else '(if asked for) '}{case.what}")
        return 0
    if options.command in _PRINTED:
        return _print(options)
    is_dry = getattr(options, "dry_run", False)
    missing = no_gpu() if options.command == "gpu" and not is_dry else None
    if missing is not None:
        print(f"{missing}\n{PLANNED}\n{PLANNED_BESIDES}")
        return 0
    machine = this_machine(argv)
    _say(str(machine))
    try:
        sections = commands[options.command](options)
    except UnknownCaseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    report = Report(machine, tuple(sections))
    _write(report, options.out, f"{options.command}-dry-run" if is_dry else options.command)
    for failure in report.failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if report.failures else 0


def _write(report: Report, folder: Path, name: str) -> None:
    """Print the table; write it, the JSON and the plot."""
    folder.mkdir(parents=True, exist_ok=True)
    text = report_markdown(report)
    print(text)
    report.write(folder / f"{name}.json")
    (folder / f"{name}.md").write_text(text)
    written = [f"{name}.json", f"{name}.md"]
    try:
        if draw(report, folder / f"{name}.png"):
            written.append(f"{name}.png")
    except Unavailable as reason:
        _say(f"no plot: {reason}")
    _say(f"written to {folder}: {', '.join(written)}")


def _print(options: argparse.Namespace) -> int:
    if options.command == "cluster":
        print(run_cluster(_say))
        return 0
    usual = {"sink": _SINK_PIXELS, "fine": _FINE_PIXELS}.get(options.command, _LIVE_PIXELS)
    (pixels,) = getattr(options, "sizes", None) or (usual,)
    try:
        if options.command == "sink":
            print(run_sink(options.frames, pixels, _say))
        elif options.command == "fine":
            print(run_fine(pixels, _say, options.picture))
        elif options.command == "live":
            print(run_live(options.model, options.dtype, pixels, options.frames, _say))
        elif options.command == "page":
            print(run_page(options.frames, options.viewers, options.seconds, _say))
        elif options.command == "preview":
            print(run_preview(options.model, pixels, options.rounds, _say))
        else:
            print(run_start(options.dtype, options.backend, pixels, options.rounds, _say))
    except Unavailable as reason:
        print(f"error: {reason}", file=sys.stderr)
        return 2
    return 0


def _table(options: argparse.Namespace) -> list[Section]:
    cases = select(options.cases, options.memory)
    for reference in options.reference:
        case_named(reference, options.memory)
    sizes = options.sizes or ((512,) if options.quick else _TABLE_SIZES)
    return run_table(cases, sizes, _rounds(options, 5), options.reference, _say)


def _scaling(options: argparse.Namespace) -> list[Section]:
    budgeted = [f"{name}-{budget}" for name in SCALING_CASES for budget in options.memory]
    cases = select(options.cases or ",".join([*SCALING_CASES, *budgeted]), options.memory)
    sizes = options.sizes or ((512, 1024) if options.quick else SCALING_SIZES)
    return run_scaling(cases, sizes, _rounds(options, 3), _say)


def _nano(options: argparse.Namespace) -> list[Section]:
    cases = select(options.cases or ",".join(NANO_CASES))
    (pixels,) = options.sizes or (512 if options.quick else 1024,)
    return run_nano(cases, pixels, _rounds(options, 5), _say)


def _video(options: argparse.Namespace) -> list[Section]:
    frames = options.frames or (4 if options.quick else 24)
    (pixels,) = options.sizes or (512,)
    return run_video(
        pixels,
        frames,
        _rounds(options, 5),
        _say,
        dtype=options.dtype,
        backend=options.backend,
    )


def _gpu(options: argparse.Namespace) -> list[Section]:
    if options.dry_run:
        return run_gpu_all(DRY_RUN, _rounds(options, 1), _say)
    if options.all:
        extent = replace(FULL, sizes=FULL.sizes[:1]) if options.quick else FULL
        return run_gpu_all(extent, _rounds(options, 5), _say)
    batches = (1,) if options.quick else BATCHES
    return run_gpu(batches, _rounds(options, 5), _say)


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], list[Section]]] = MappingProxyType(
    {"table": _table, "scaling": _scaling, "nano": _nano, "video": _video, "gpu": _gpu}
)


def _rounds(options: argparse.Namespace, usual: int) -> int:
    return options.rounds or (2 if options.quick else usual)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=_DESCRIPTION, formatter_class=formatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--rounds", type=_positive, metavar="N", help="turns that count, after one warm-up"
    )
    common.add_argument("--quick", action="store_true", help="smallest size, 2 rounds")
    common.add_argument(
        "--out", type=Path, default=_OUT, metavar="FOLDER",
        help="for COMMAND.json, .md and .png; by default benchmarks/results",
    )  # fmt: skip
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--cases", metavar="GLOB,...", help="by name, such as 'ours-*,diffusers-*'")
    chosen.add_argument("--list", action="store_true", help="name all cases and leave")
    chosen.add_argument(
        "--memory", type=_texts, default=[], metavar="BYTES,...",
        help="ours once more within these budgets, such as 256MiB",
    )  # fmt: skip
    table = commands.add_parser("table", parents=[common, chosen], help="all, at a few sizes")
    _add_sizes(table, f"512,1024,2048; errors are known up to {LARGEST_TRUTH}")
    table.add_argument(
        "--reference", type=_texts, default=["diffusers-float32"], metavar="CASE,...",
        help="what ratios refer to; by default diffusers-float32",
    )  # fmt: skip
    scaling = commands.add_parser("scaling", parents=[common, chosen], help="ours against size")
    _add_sizes(scaling, ",".join(map(str, SCALING_SIZES)))
    nano = commands.add_parser("nano", parents=[common], help="nano beside TAESD")
    nano.add_argument("--cases", metavar="GLOB,...", help="of nano's, such as 'nano-torch-*'")
    _add_sizes(nano, "1024; one only")
    video = commands.add_parser("video", parents=[common], help="decode, encode and render")
    _add_sizes(video, "512; one only")
    video.add_argument("--frames", type=_positive, metavar="N", help="of the clip; by default 24")
    video.add_argument("--dtype", default="float32", help="of ours; by default float32")
    video.add_argument("--backend", default="torch", help="of ours; by default torch")
    live = commands.add_parser("live", help="one frame after the other, as they are pushed")
    _add_sizes(live, f"{_LIVE_PIXELS}; one only")
    live.add_argument("--frames", type=_enough, default=2000, metavar="N", help="2000 if not said")
    live.add_argument("--model", default="nano", choices=("nano", "taesd"), help="nano if not said")
    live.add_argument("--dtype", default="float32", help="float32 if not said")
    page = commands.add_parser("page", help="the live page, through a browser")
    page.add_argument("--frames", type=_enough, default=300, metavar="N", help="300 if not said")
    page.add_argument("--viewers", type=_positive, default=8, metavar="N", help="8 if not said")
    page.add_argument(
        "--seconds", type=int, default=0, metavar="S", help="of a soak after it; none if not said"
    )
    commands.add_parser("cluster", help="workers of a Ray cluster, and a simulation of more")
    fine = commands.add_parser("fine", help="a full VAE, and what tiles lose of it")
    _add_sizes(fine, f"{_FINE_PIXELS}; one only")
    fine.add_argument("--picture", type=Path, metavar="PNG", help="where to show what is lost")
    sink = commands.add_parser("sink", help="a sink under a generator that goes on")
    _add_sizes(sink, f"{_SINK_PIXELS}; one only")
    sink.add_argument("--frames", type=_enough, default=2000, metavar="N", help="2000 if not said")
    preview = commands.add_parser("preview", help="what a preview costs a sampler")
    _add_sizes(preview, f"{_LIVE_PIXELS}; one only")
    preview.add_argument("--rounds", type=_positive, default=5, metavar="N", help="5 if not said")
    preview.add_argument(
        "--model", default="taesd", choices=("nano", "taesd"), help="taesd if not said"
    )
    start = commands.add_parser("start", help="from the command to its first frame")
    _add_sizes(start, f"{_LIVE_PIXELS}; one only")
    start.add_argument("--rounds", type=_positive, default=7, metavar="N", help="7 if not said")
    start.add_argument("--dtype", default="float32", help="float32 if not said")
    start.add_argument("--backend", default="torch", help="torch if not said")
    gpu = commands.add_parser("gpu", parents=[common], help="on a CUDA GPU")
    gpu.add_argument(
        "--all", action="store_true", help="the test suite, errors, sizes, precisions, videos too"
    )
    gpu.add_argument(
        "--dry-run", action="store_true", help="--all on the CPU, small, with a stand-in for graphs"
    )
    return parser


def _add_sizes(parser: argparse.ArgumentParser, usual: str) -> None:
    parser.add_argument(
        "--sizes", type=_sizes, metavar="PIXELS,...", help=f"sides of the squares: {usual}"
    )


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, found {text!r}")
    return int(text)


def _enough(text: str) -> int:
    if _positive(text) < 20:
        raise argparse.ArgumentTypeError(f"expected 20 frames or more, found {text}")
    return int(text)


def _sizes(text: str) -> tuple[int, ...]:
    found = tuple(_positive(part.strip()) for part in text.split(","))
    for side in found:
        if side % SCALE:
            raise argparse.ArgumentTypeError(f"expected multiples of {SCALE}, found {side}")
    return found


def _texts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
