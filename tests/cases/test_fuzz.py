"""Damaged files end in our own errors: see ``fuzzing``, which runs many more by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import taesd_stream as ts
from tests.cases import fuzzed_kinds, fuzzing


def test_damaged_files_do_no_harm(tmp_path: Path) -> None:
    assert fuzzed_kinds
    report = fuzzing.fuzz(fuzzing.KINDS, range(20 * len(fuzzing.KINDS)), seed=14, folder=tmp_path)
    assert not report.faults, str(report)
    assert all(report.refused[kind] for kind in fuzzing.KINDS), str(report)


def test_an_array_of_a_size_that_nothing_can_have_is_refused(tmp_path: Path) -> None:
    path = fuzzing.KINDS["zarr 3"].make(tmp_path)
    metadata = json.loads(path.read_text())
    metadata["shape"][0] = 2**64
    path.write_text(json.dumps(metadata))
    with pytest.raises(ts.LatentsError, match="claims to be of shape"):
        ts.open_latents(path.parent)
