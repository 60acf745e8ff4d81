"""Budgets, what is left in a container, and which errors mean that memory ran out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from taesd_stream.engine import budget as memory
from taesd_stream.engine.budget import (
    default_budget,
    free_bytes,
    is_out_of_memory,
    parse_bytes,
    release,
)
from taesd_stream.errors import InputError, OutOfMemoryError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (1, 1),
        (123456789, 123456789),
        ("1", 1),
        ("512", 512),
        ("512b", 512),
        ("2GiB", 2 * 2**30),
        ("2 gib", 2 * 2**30),
        ("2G", 2 * 10**9),
        ("2GB", 2 * 10**9),
        (" 512 MB ", 512 * 10**6),
        ("1.5g", 1_500_000_000),
        (".5MiB", 2**19),
        ("3TiB", 3 * 2**40),
        ("7k", 7000),
        ("7KiB", 7168),
    ],
)
def test_bytes_with_and_without_units(value: int | str, count: int) -> None:
    assert parse_bytes(value) == count


@pytest.mark.parametrize(
    "value", ["", "lots", "GiB", "2 GiB please", "-1", "1e9", "2XiB", "1.2.3", True, None, [1]]
)
def test_what_is_no_size_is_refused_and_quoted(value: object) -> None:
    with pytest.raises(InputError, match="memory: expected bytes or a size") as caught:
        parse_bytes(value)  # type: ignore[arg-type]
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", [0, -5, "0", "0.4"])
def test_less_than_a_byte_is_refused(value: int | str) -> None:
    with pytest.raises(InputError, match="at least 1 byte"):
        parse_bytes(value)


def test_the_default_budget_is_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    assert free_bytes(CPU) > 0
    monkeypatch.setattr(memory, "free_bytes", lambda device: 10 << 30)
    assert default_budget(CPU) == 5 << 30
    assert default_budget(torch.device("cuda")) == int(7.5 * 2**30)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0)
    assert default_budget(CPU) == 1 << 20


def test_a_container_allows_what_is_left_of_its_limit(tmp_path: Path) -> None:
    assert memory._left_in_container(tmp_path) > 1 << 60
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert memory._left_in_container(tmp_path) > 1 << 60
    (tmp_path / "memory.max").write_text("5000\n")
    assert memory._left_in_container(tmp_path) == 4000
    (tmp_path / "memory.current").write_text("6000\n")
    assert memory._left_in_container(tmp_path) == 0


def test_older_control_groups_count_too(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("5000\n")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text("1500\n")
    assert memory._left_in_container(tmp_path) == 3500


@pytest.mark.parametrize(
    ("error", "means_memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (OutOfMemoryError("ours"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("could not create a primitive descriptor for a convolution"), False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("CUDA driver is out of date"), False),
        (RuntimeError("shape mismatch"), False),
        (NotImplementedError("std::bad_alloc"), False),
        (ValueError("DefaultCPUAllocator: can't allocate memory"), False),
        (KeyboardInterrupt(), False),
    ],
    ids=repr,
)
def test_only_an_allocators_own_words_mean_memory(error: BaseException, means_memory: bool) -> None:
    assert is_out_of_memory(error) == means_memory


def test_releasing_a_cpu_is_harmless() -> None:
    release(CPU)


PROVOKE = """
import logging, resource, sys
import numpy as np, torch
import taesd_stream as ts
from taesd_stream.engine.budget import is_out_of_memory
from taesd_stream.models import variant_named

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
shapes = variant_named("taesd").decoder().shapes()
state = {name: 0.04 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
ae = ts.load(state, device="cpu", backend="torch")
latents = torch.randn(1, 4, 44, 44, generator=generator)
ae.decode(latents[..., :8, :8])

in_use = next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmSize")) << 10
limit = in_use + (85 << 20)  # undivided, three planes of 30 MiB are held at once
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for allocate in (
    lambda: torch.empty(1 << 40, dtype=torch.uint8),
    lambda: np.empty(1 << 40, np.uint8),
    lambda: bytearray(1 << 40),
):
    try:
        allocate()
    except BaseException as error:
        assert is_out_of_memory(error), repr(error)
    else:
        raise SystemExit("that much memory should not be there")

logging.basicConfig(stream=sys.stdout, format="%(message)s")
made = ae.decode(latents, tile=None)
assert torch.allclose(made, ae.decode(latents, tile=24), atol=1e-5, rtol=0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
def test_when_memory_really_runs_out_the_work_goes_on_in_smaller_tiles() -> None:
    # What is freed shall leave the address space, which glibc's heap would keep; and the limit is
    # on the address space.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(1 << 16)}
    done = subprocess.run(
        [sys.executable, "-c", PROVOKE],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert "memory ran out at a tile of 352x352 elements; going on with smaller" in done.stdout


PROMISE = """
import json, sys, torch
import taesd_stream as ts

torch.set_num_threads(1)
shapes = __import__("taesd_stream.models").models.variant_named("taesd").decoder().shapes()
weights = {name: torch.full(shape, 1e-3) for name, shape in shapes.items()}
ae = ts.load(weights, device="cpu", backend=sys.argv[1])
latents = torch.zeros(1, 4, int(sys.argv[3]), 96)

def status(key):
    line = next(line for line in open("/proc/self/status") if line.startswith(key))
    return int(line.split()[1]) << 10

before = status("VmRSS")
open("/proc/self/clear_refs", "w").write("5")
picture = ae.decode(latents, memory=sys.argv[2])
peak = status("VmHWM") - before - picture.numel() * picture.element_size()
plan = ae.plan(latents.shape, memory=sys.argv[2])
print(json.dumps({"peak": peak, "planned": plan.peak_bytes}))
"""


@pytest.mark.parametrize(
    ("backend", "budget", "rows"),
    [("torch", 64, 48), ("openvino", 256, 96), ("onnxruntime", 160, 96)],
)
@pytest.mark.skipif(sys.platform != "linux", reason="reads peaks from Linux's /proc")
def test_a_large_picture_is_decoded_within_the_memory_that_was_granted(
    backend: str, budget: int, rows: int
) -> None:
    """Undivided, 96 rows take about 0.45 GB."""
    done = subprocess.run(
        [sys.executable, "-c", PROMISE, backend, f"{budget}MiB", str(rows)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if "clear_refs" in done.stderr:
        pytest.skip("this kernel does not let a process reset its peak")
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["planned"] <= budget << 20
    assert measured["peak"] <= (budget + 64) << 20
