"""Damaged files end in our own errors: see ``fuzzing``, which runs many more by hand."""

from __future__ import annotations

from pathlib import Path

from tests.cases import fuzzed_kinds, fuzzing


def test_damaged_files_do_no_harm(tmp_path: Path) -> None:
    assert fuzzed_kinds
    report = fuzzing.fuzz(fuzzing.KINDS, range(20 * len(fuzzing.KINDS)), seed=14, folder=tmp_path)
    assert not report.faults, str(report)
    assert all(report.refused[kind] for kind in fuzzing.KINDS), str(report)
