"""Exported decoders in 8 bits are near the ones in float32."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import taesd_stream as ts
from taesd_stream.samples import sample_path
from tests.exporting.some_models import some_model
from tests.exporting.step_by_step import Array, decoded_clip, run, session_of

Exported = Callable[..., tuple[ts.AutoEncoder, Any]]


def decibels(made: Array, expected: Array) -> float:
    return -10 * math.log10(float(np.square(made.clip(0, 1) - expected.clip(0, 1)).mean()))


def test_pictures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.onnx"
    with ts.open_latents(sample_path()) as sample:
        latents = sample[1][None, :, 3:24, 5:24].float()
    made = ts.export("nano", path, dtype="int8", static=(152, 168))
    assert made.inputs == {"latents": (1, 4, 21, 19)}
    assert made.facts["dtype"] == "int8"
    assert made.decibels is not None
    assert f"int8, {made.decibels:.1f} dB against float32" in str(made)
    assert {"QuantizeLinear", "DequantizeLinear"} < set(made.operators)
    expected = ts.load("nano", device="cpu", backend="torch").decode(latents).numpy()
    images = run(session_of(path), latents=latents.numpy())["images"]
    found = decibels(images, expected)
    assert found > 37
    assert abs(found - made.decibels) < 4
    # Its library says a lot, where there is nothing that a user could do.
    assert [record for record in caplog.records if record.name == "root"] == []
    before = path.read_bytes()
    ts.export("nano", path, dtype="int8", static=(152, 168), overwrite=True)
    assert path.read_bytes() == before


def test_videos(exported: Exported) -> None:
    latents = torch.randn(1, 3, 16, 4, 3, generator=torch.Generator().manual_seed(1))
    _, plain = exported("taehv")
    _, rounded = exported("taehv", dtype="int8", calibration=latents)
    expected, made = (decoded_clip(session, latents.numpy()) for session in (plain, rounded))
    assert not np.array_equal(made, expected)
    assert decibels(made, expected) > 25


def test_what_sees_the_whole_plane_is_exact(exported: Exported) -> None:
    latents = torch.randn(1, 32, 5, 6, generator=torch.Generator().manual_seed(1))
    _, session = exported("taef2", dtype="int8", calibration=latents)
    ae, _ = exported("taef2")
    made = run(session, latents=latents.numpy())["images"]
    assert decibels(made, ae.decode(latents).numpy()) > 25


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ts.InputError, match="float32 or float16 for an encoder, found int8"):
        ts.export("nano", tmp_path / "a.onnx", half="encoder", dtype="int8")
    with pytest.raises(ts.InputError, match="calibration: expected latents for taesd3"):
        ts.export(some_model("taesd3"), tmp_path / "a.onnx", dtype="int8")
    assert list(tmp_path.iterdir()) == []


def test_a_process_without_handlers_still_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    ts.export("nano", tmp_path / "a.onnx", dtype="int8")
    assert logging.getLogger().handlers == []
