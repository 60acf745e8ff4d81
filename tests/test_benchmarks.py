"""The benchmarks' machinery: turns, ratios, tables, and a tiny run of the real thing. No timing."""

from __future__ import annotations

import doctest
import json
import subprocess
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch

import taesd_stream as ts
from benchmarks.absent import Unavailable, require
from benchmarks.accuracy import compare
from benchmarks.cases import UnknownCaseError, all_cases, select
from benchmarks.cli import main
from benchmarks.decode_job import decode_job
from benchmarks.decoders import Decoder, open_decoder
from benchmarks.decoders.plain import load_plain
from benchmarks.gpu import batch_values, matmul_flop
from benchmarks.gpu_all import DRY_RUN
from benchmarks.gpu_jobs import largest_that_fits
from benchmarks.graph_stand_in import GraphStandIn
from benchmarks.machine import this_machine
from benchmarks.markdown import report_markdown, section_markdown
from benchmarks.plain import decode_naive_tiles
from benchmarks.process import WorkerProcess
from benchmarks.protocol import Gone, Job, Ready, Turn, reply_from_json, to_line
from benchmarks.results import Report, Section, to_row
from benchmarks.runner import Measured, alternate
from benchmarks.sink import push_to_slow_target, record
from benchmarks.start_phases import PHASES
from benchmarks.stats import median_ratio
from benchmarks.suite import run_suite
from benchmarks.video import overlap_values
from benchmarks.weights import SCALE, latents, panned_latents
from benchmarks.worker import Worker


class InProcess:
    """A real job that is run here, on one core: to start a process takes longer than its turns."""

    idle_share = 0.0

    def __init__(self, job: Job) -> None:
        self.name = job.name
        self._worker = Worker(replace(job, threads=1))

    def load(self) -> Ready | Gone:
        return self._worker.load()

    def turn(self, truth: Path | None = None) -> Turn | Gone:
        return self._worker.turn(truth)

    def save(self, path: Path) -> Turn | Gone:
        return self._worker.turn(save=path)

    def close(self) -> None:
        pass


class Fake:
    """A contender that writes down when it was called."""

    idle_share = 0.0

    def __init__(self, name: str, calls: list[str], leaves_at: int | None = None) -> None:
        self.name = name
        self._calls, self._turns, self._leaves_at = calls, 0, leaves_at

    def load(self) -> Ready | Gone:
        self._calls.append(f"load {self.name}")
        return Gone("absent") if self._leaves_at == -1 else Ready("as told", 0.5, 7)

    def turn(self, truth: Path | None = None) -> Turn | Gone:
        self._calls.append(self.name if truth is None else f"{self.name} compared")
        if self._turns == self._leaves_at:
            return Gone("ended by signal 9", failed=True)
        self._turns += 1
        return Turn(float(self._turns), 10 * self._turns, 4)

    def close(self) -> None:
        self._calls.append(f"close {self.name}")


def measured(name: str, *seconds: float) -> Measured:
    return Measured(name, Ready("", 0.0, 0), turns=[Turn(each, 30, 10) for each in seconds])


def test_contenders_take_turns_after_a_warm_up_that_does_not_count() -> None:
    calls: list[str] = []
    found = alternate([Fake("a", calls), Fake("b", calls)], rounds=3, truth=Path("truth.npy"))
    assert calls == [
        *("load a", "a", "load b", "b"),
        *("a", "b", "a", "b", "a compared", "b compared"),
        *("close a", "close b"),
    ]  # fmt: skip
    assert [each.seconds for each in found] == [[2, 3, 4], [2, 3, 4]]
    assert [(each.peak_bytes, each.working_bytes) for each in found] == [(40, 36)] * 2


@pytest.mark.parametrize("leaves_at", [-1, 0, 2])
def test_one_that_leaves_does_not_stop_the_others(leaves_at: int) -> None:
    calls: list[str] = []
    gone, stays = alternate([Fake("a", calls, leaves_at), Fake("b", calls)], rounds=3)
    assert gone.gone is not None
    assert gone.gone.failed == (leaves_at >= 0)
    assert not gone.turns
    assert len(stays.turns) == 3
    assert "close a" in calls


def test_workers_are_ended_when_the_run_is_interrupted() -> None:
    calls: list[str] = []

    class Interrupting(Fake):
        def turn(self, truth: Path | None = None) -> Turn | Gone:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        alternate([Fake("a", calls), Interrupting("b", calls)], rounds=1)
    assert {"close a", "close b"} <= set(calls)


def test_a_slow_round_does_not_change_ratios() -> None:
    assert median_ratio([2, 40, 2], [1, 20, 1]) == 2
    assert median_ratio([], [1]) is None
    with pytest.raises(ValueError, match="longer"):
        median_ratio([1], [1, 2])


def test_render_is_told_beside_the_sum_and_the_longer() -> None:
    found = overlap_values(measured("d", 3, 30), measured("e", 1, 10), measured("r", 3, 30))
    assert found == {"render_over_sum": 0.75, "render_over_longer": 1}
    assert overlap_values(measured("d"), measured("e"), measured("r"))["render_over_sum"] is None


def test_replies_go_over_the_pipe_and_back() -> None:
    accuracy = compare(np.zeros((3, 2, 2), np.float32), np.full((3, 2, 2), 0.1, np.float32))
    assert accuracy.psnr_db == pytest.approx(20, abs=1e-5)
    turn = Turn(1.5, 9, 3, 0.25, accuracy, {"largest_side_pixels": 512.0})
    for message in (turn, replace(turn, accuracy=None), Ready("x", 1.0, 2), Gone("why", True)):
        assert reply_from_json(to_line(message)) == message
    with pytest.raises(ValueError, match="reply"):
        reply_from_json('{"is": "something else"}')


def section() -> Section:
    times = {"slow": [2.0, 4.0]}
    gone = Measured("absent", gone=Gone("no such thing | here"))
    rows = [
        to_row(each, times, pixels=64, what="one of them")
        for each in (measured("slow", 2, 4), measured("quick", 1, 1), gone)
    ]
    return Section("table", "64 x 64 pixels", ("slow",), tuple(rows))


def test_the_table_has_a_line_for_each_and_says_who_is_absent() -> None:
    heading, _, *lines = section_markdown(section()).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (heading, *lines)]
    assert len({len(line) for line in cells}) == 1
    assert cells[0][2] == "times as fast as slow"
    assert cells[1][:3] == ["slow", "3.000 (2.000 to 4.000)", "1.00"]
    assert cells[2][2] == "3.00"
    assert cells[3][1] == "not available: no such thing / here"


def test_the_report_is_json_with_every_time_and_the_machine(tmp_path: Path) -> None:
    report = Report(this_machine(["--sizes", "64"]), (section(),))
    report.write(tmp_path / "a.json")
    read = json.loads((tmp_path / "a.json").read_text())
    assert read["machine"]["command"] == "python -m benchmarks --sizes 64"
    assert read["machine"]["versions"]["torch"] == torch.__version__
    slow, quick, absent = read["sections"][0]["rows"]
    assert (slow["seconds"], slow["median_seconds"], slow["working_bytes"]) == ([2, 4], 3, 20)
    assert quick["ratios"] == {"slow": 3}
    assert (absent["seconds"], absent["failed"]) == ([], False)
    assert report.machine.cpu in report_markdown(report)


def test_cases_are_chosen_by_globs() -> None:
    usual = {case.name for case in select(None)}
    assert {"ours-torch-float32", "openvino-int8", "diffusers-tiled-bfloat16"} <= usual
    assert "compile-float32" not in usual
    assert {case.name for case in select("compile-*")} == {"compile-float32", "compile-bfloat16"}
    chosen = select("ours-torch-float32-*MiB,diffusers-float32", ["64MiB"])
    assert [(case.name, case.memory) for case in chosen] == [
        ("ours-torch-float32-64MiB", "64MiB"),
        ("diffusers-float32", "auto"),
    ]
    names = [case.name for case in all_cases(["1GiB", "2GiB"])]
    assert len(names) == len(set(names))
    with pytest.raises(UnknownCaseError, match="nobody"):
        select("nobody")


def test_a_package_that_is_absent_is_told_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.absent.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="diffusers is not installed: pip install"):
        require("diffusers")


def test_naive_tiles_equal_the_undivided_decode() -> None:
    # In float64, since what lies 19 latents away weighs little.
    plain, z = load_plain().double(), latents(30)[:, :, :2].double()
    with torch.inference_mode():
        torch.testing.assert_close(
            decode_naive_tiles(plain, z, tile=10), plain(z), atol=1e-14, rtol=0
        )


def test_diffusers_computes_the_same_function() -> None:
    pytest.importorskip("diffusers", reason="diffusers is in the extra benchmarks")
    z = latents(8)
    with torch.inference_mode():
        (theirs,) = (open_decoder(case, 64, 1) for case in select("diffusers-float32"))
        made = theirs.pictures(theirs.decode(z))
        torch.testing.assert_close(made, load_plain()(z).clamp(0, 1), atol=1e-4, rtol=0)


def test_the_clip_pans_by_a_latent_a_frame() -> None:
    clip = panned_latents(side=6, count=4)
    assert clip.shape == (4, 4, 6, 6)
    assert torch.equal(clip[1, :, :, :-1], clip[0, :, :, 1:])


def test_two_cases_at_a_tiny_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_process(job: Job) -> WorkerProcess | InProcess:
        return WorkerProcess(job) if job.name.startswith("ours") else InProcess(job)

    monkeypatch.setattr("benchmarks.table.WorkerProcess", one_process)
    monkeypatch.setattr("benchmarks.truth.WorkerProcess", InProcess)
    monkeypatch.setattr("benchmarks.plot.require", _refuse)
    cases = "ours-torch-float32,plain-bfloat16"
    options = ["--sizes", "64", "--rounds", "2", "--reference", "plain-bfloat16"]
    assert main([*options, "--cases", cases, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "no plot: matplotlib" in printed.err
    assert (tmp_path / "table.md").read_text().strip() == printed.out.strip()
    ours, plain = json.loads((tmp_path / "table.json").read_text())["sections"][0]["rows"]
    assert len(ours["seconds"]) == len(plain["seconds"]) == 2
    assert plain["ratios"] == {"plain-bfloat16": 1}
    assert ours["accuracy"]["max_error"] < 1e-5
    assert 1e-5 < plain["accuracy"]["max_error"] < 0.1
    assert ours["peak_bytes"] - ours["working_bytes"] == 3 * (64 // SCALE * SCALE) ** 2 * 4


def test_nano_stands_beside_taesd_in_the_same_backend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.nano.WorkerProcess", InProcess)
    options = ["--cases", "nano-torch-float32", "--sizes", "64", "--rounds", "1"]
    assert main(["nano", *options, "--out", str(tmp_path)]) == 0
    (only,) = json.loads((tmp_path / "nano.json").read_text())["sections"]
    taesd, nano = only["rows"]
    assert (taesd["name"], nano["name"]) == ("ours-torch-float32", "nano-torch-float32")
    assert list(nano["ratios"]) == ["ours-torch-float32"]
    assert nano["accuracy"] is None  # another function: there is nothing to compare


def test_live_frames_are_timed_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", "--sizes", "16", "--frames", "20"]) == 0
    told = capsys.readouterr().out
    assert "over 20: median" in told
    assert "half way" in told


def test_a_sink_is_held_against_what_it_was_given(tmp_path: Path) -> None:
    ae = ts.load("latent2rgb", device="cpu")
    found = record(ae, list(latents(2, 3)), 20, tmp_path / "a.mp4")
    assert (found.frames, found.wrong) == (20, 0)
    go_on = Event()
    felt = push_to_slow_target(20, 16, lambda frame: go_on.wait(0.01))
    assert len(felt.write_ms) == 20
    assert 1 <= felt.written <= 20


def test_a_start_is_told_phase_by_phase(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "--sizes", "16", "--rounds", "1"]) == 0
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [words[0] for words in told[1:]] == [*(name.split()[0] for name in PHASES), "in"]
    *phases, whole = (float(words[-1]) for words in told[1:])
    assert min(phases) > 0
    assert whole == pytest.approx(sum(phases), abs=len(phases))


def test_what_a_start_ends_with_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.CompletedProcess([], 1, "", "Traceback\nInputError: found 'float8'\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    assert main(["start", "--sizes", "16", "--rounds", "1", "--dtype", "float8"]) == 2
    assert "found 'float8'" in capsys.readouterr().err


def test_a_worker_that_dies_or_does_not_fit_is_told() -> None:
    fits_nowhere = replace(decode_job(select("plain-float32")[0], 64, 1), needs_bytes=1 << 60)
    dies = Job("decode", "dies", {"case": "nobody", "budgets": [], "pixels": 64}, 1)
    too_large, dead = alternate([WorkerProcess(fits_nowhere), WorkerProcess(dies)], rounds=1)
    assert "GiB are free" in str(too_large.gone)
    assert too_large.gone is not None
    assert not too_large.gone.failed
    assert dead.gone is not None
    assert dead.gone.failed
    assert "nobody" in dead.gone.reason


def test_the_share_of_a_gpus_rate() -> None:
    """A picture is 141 GFLOP: a decode at the matmul's own rate reaches all of it."""
    found = batch_values(measured("ours", 2, 2), pictures=8, matmul_seconds=[1, 1])
    assert found["frames_per_second"] == 4
    at_its_rate = 8 * 141e9 / matmul_flop()
    found = batch_values(measured("ours", at_its_rate), pictures=8, matmul_seconds=[1])
    assert found["matmul_share"] == pytest.approx(1)


def test_the_largest_picture_is_the_last_before_memory_ran_out() -> None:
    def opened(side: int) -> Decoder:
        if side > 32:
            raise torch.cuda.OutOfMemoryError
        return Decoder(lambda z: z)

    assert largest_that_fits(opened, (8, 16, 32, 64, 128)) == 32
    assert largest_that_fits(opened, (64,)) == 0


@pytest.mark.parametrize("options", [["--cases", "nobody"], ["--reference", "nobody"]])
def test_a_wrong_name_is_told_in_a_line(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == 2
    assert "found 'nobody'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["cases", "plain", "protocol", "stats", "suite", "video_model"])
def test_examples_are_true(name: str) -> None:
    failed, tried = doctest.testmod(import_module(f"benchmarks.{name}"))
    assert (failed, tried > 0) == (0, True)


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU: this would measure it")
    assert main(["gpu", "--all"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("no GPU: PyTorch")
    assert "--dry-run" in said


def test_all_of_a_gpu_is_tried_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gpu_all", "truth"):
        monkeypatch.setattr(f"benchmarks.{name}.WorkerProcess", InProcess)
    few = replace(DRY_RUN, tests=("-n0", "tiling"))
    monkeypatch.setattr("benchmarks.cli.DRY_RUN", few)
    stand_ins = [GraphStandIn(), GraphStandIn()]
    coming = iter(stand_ins)
    monkeypatch.setattr("benchmarks.decoders.ours.GraphStandIn", lambda: next(coming))
    assert main(["gpu", "--dry-run", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "gpu-dry-run.json").read_text())
    suite, pictures, clip = report["sections"]
    counts = suite["rows"][0]["values"]
    assert counts["failed"] == 0
    assert counts["passed"] > 5
    for section in (pictures, clip):
        ours, eager = section["rows"][:2]
        assert "recorded in" in ours["detail"]
        assert "recorded in" not in eager["detail"]
        for row in section["rows"]:
            assert row["values"]["frames_per_second"] > 0
            assert row["accuracy"]["max_error"] < 1e-5
    text = (tmp_path / "gpu-dry-run.md").read_text()
    assert "largest error" in text
    assert "no measurement" in text
    assert all(each.replays > 5 for each in stand_ins)


@pytest.mark.parametrize(
    ("lines", "status", "failed"),
    [
        (["2 failed, 1 passed in 3s"], 1, 2),
        (["FAILED tests/a.py::b - no", "1 failed in 3s"], 1, 1),
        (["5 passed, 2 skipped in 3s"], 0, 0),
        ([], 3, 0),
    ],
)
def test_a_suite_that_fails_is_a_failure_of_the_run(
    lines: list[str], status: int, failed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], status, stdout="\n".join(lines), stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    (row,) = run_suite(["tests"], lambda line: None).rows
    assert row.failed is (status != 0)
    assert row.values["failed"] == failed


def _refuse(package: str) -> None:
    raise Unavailable(f"{package} is not installed")
