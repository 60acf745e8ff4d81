"""What a cluster makes is what one process makes, whoever dies meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

import taesd_stream as ts
from taesd_stream.jobs.cluster.ray_library import load_ray
from taesd_stream.jobs.decoding import plan_for
from tests.engine.conftest import weights_of
from video import open_reader

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


def latents(count: int, height: int = 6, width: int = 8) -> torch.Tensor:
    return torch.randn(count, 4, height, width, generator=torch.Generator().manual_seed(count))


def frames_of(path: Path) -> np.ndarray:
    with open_reader(path) as reader:
        return np.stack([frame.image for frame in reader])


def rendered(z: Any, out: Path, **options: Any) -> Any:
    options = {"model": "nano", "device": "cpu", "backend": "torch", "dtype": "float32"} | options
    if out.suffix in (".mkv", ".mp4"):
        options = {"lossless": True} | options
    return ts.render(z, out, **options)


def workers() -> list[psutil.Process]:
    """The processes of workers, which Ray names after what they do."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if "ray::Worker" in words:
            found.append(process)
    return found


@contextmanager
def killing(every: float) -> Iterator[list[int]]:
    """Kill a worker every few seconds."""
    stop, killed = threading.Event(), []

    def kill() -> None:
        while not stop.wait(every):
            for process in workers()[:1]:
                killed.append(process.pid)
                process.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("name", ["nano", "taesdv"])
@pytest.mark.parametrize("stored", [True, False], ids=["a file", "a tensor"])
def test_a_video(nodes: Any, tmp_path: Path, name: str, stored: bool) -> None:
    z = latents(90)
    source: Any = z
    if stored:
        source = tmp_path / "z.pt"
        torch.save(z, source)
    model = name if name == "nano" else weights_of(name)
    options = {"model": model, "variant": name}
    done = rendered(source, tmp_path / "a.mkv", cluster=nodes.address, **options)
    rendered(z, tmp_path / "b.mkv", **options)
    assert (done.frames, done.rate) == (90, 24)
    assert np.array_equal(frames_of(tmp_path / "a.mkv"), frames_of(tmp_path / "b.mkv"))
    assert {each.name for each in tmp_path.iterdir()} <= {"a.mkv", "b.mkv", "z.pt"}


@pytest.mark.parametrize("suffix", [".npy", ".ome.zarr", ".tif"])
def test_a_picture(nodes: Any, tmp_path: Path, suffix: str) -> None:
    z = latents(1, 96, 70)
    seen = []
    options: dict[str, Any] = {"tile": (5, 70), "resume": True}
    done = rendered(
        z,
        tmp_path / f"a{suffix}",
        cluster=nodes.address,
        on_progress=lambda *told: seen.append(told),
        **options,
    )
    rendered(z, tmp_path / f"b{suffix}", **options)
    again = rendered(z, tmp_path / f"a{suffix}", cluster=nodes.address, **options)
    assert again.seconds == 0, "it is complete already"
    assert (done.height, done.width) == (768, 560)
    assert seen[-1] == (768 * 560, 768 * 560)
    one, other = (read(tmp_path / f"{name}{suffix}") for name in "ab")
    assert np.array_equal(one, other)


def read(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path)
    from video.large.reading import open_regions

    with open_regions(path) as reader:
        return reader.read(slice(0, reader.height), slice(0, reader.width))


def test_workers_and_a_node_die(nodes: Any, tmp_path: Path) -> None:
    z = latents(240, 16, 16)
    rendered(z, tmp_path / "b.mkv")
    third = nodes.add_node(num_cpus=1, object_store_memory=2**28)
    gone = threading.Timer(8.0, lambda: nodes.remove_node(third, allow_graceful=False))
    gone.start()
    with killing(every=4.0) as killed:
        rendered(z, tmp_path / "a.mkv", cluster=nodes.address)
    gone.join()
    assert killed
    assert np.array_equal(frames_of(tmp_path / "a.mkv"), frames_of(tmp_path / "b.mkv"))


@pytest.mark.parametrize("goes_on_with", ["the cluster", "one process"])
def test_the_one_who_hands_out_work_is_killed(
    nodes: Any, tmp_path: Path, goes_on_with: str
) -> None:
    z = latents(240, 16, 16)
    torch.save(z, tmp_path / "z.pt")
    rendered(z, tmp_path / "b.mkv")
    out = tmp_path / "a.mkv"
    command = [
        *(sys.executable, "-m", "taesd_stream", "decode", f"{tmp_path}/z.pt", str(out)),
        *("--model", "nano", "--device", "cpu", "--backend", "torch", "--lossless", "--resume"),
    ]
    killed = subprocess.Popen([*command, "--cluster", nodes.address], stderr=subprocess.PIPE)
    units = tmp_path / "a.mkv.resume" / "units.txt"
    deadline = time.monotonic() + 60
    while not (units.exists() and units.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert killed.stderr is not None
    killed.stderr.close()
    before = units.read_text().split()
    cluster = ["--cluster", nodes.address] if goes_on_with == "the cluster" else []
    done = subprocess.run([*command, "--json", *cluster], check=True, capture_output=True)
    assert json.loads(done.stdout)["frames"] == 240
    assert np.array_equal(frames_of(out), frames_of(tmp_path / "b.mkv"))
    assert len(before) >= 2
    assert not units.parent.exists()


def test_a_unit_that_fails_keeps_the_others(nodes: Any, tmp_path: Path) -> None:
    z = latents(90)
    z[80] = float("nan")
    out = tmp_path / "a.mkv"
    with pytest.raises(ts.NonFiniteError) as caught:
        rendered(z, out, cluster=nodes.address)
    assert caught.value.frame == 80
    assert "with --resume" in caught.value.__notes__[0]
    assert not out.exists()
    kept = len((tmp_path / "a.mkv.resume" / "units.txt").read_text().split())
    assert kept in (4, 5), "the last of the others may have been on its way"
    with pytest.raises(ts.InputError, match=r"is kept in .*: give --resume"):
        rendered(z, out, cluster=nodes.address)


def test_a_picture_that_failed_goes_on(nodes: Any, tmp_path: Path) -> None:
    z = latents(1, 96, 24)
    torch.save(z, tmp_path / "z.pt")
    whole = z.clone()
    z[0, :, 90] = float("nan")
    out, options = tmp_path / "a.npy", {"tile": (5, 24), "resume": True}
    with pytest.raises(ts.NonFiniteError):
        rendered(z, out, cluster=nodes.address, **options)
    with pytest.raises(ts.InputError, match="numbers in the latents was"):
        rendered(whole, out, cluster=nodes.address, **options)
    shutil.rmtree(tmp_path / "a.npy.resume" / "rows.zarr")
    with pytest.raises(ts.InputError, match=r"expected finished rows in .*rows\.zarr, found none"):
        rendered(z, out, cluster=nodes.address, **options)


@pytest.mark.parametrize("name", ["{}.gif", "{}.npy", "{}", "{}_%03d.png", "{}.safetensors"])
def test_frames_apart(nodes: Any, tmp_path: Path, name: str) -> None:
    """Outputs that are no videos, whatever a run that was killed has left beside them."""
    z = latents(40)
    out = tmp_path / name.format("a")
    if name == "{}":
        out.mkdir()
    (tmp_path / f"{out.name}.resume").mkdir()
    done = rendered(z, out, cluster=nodes.address)
    assert done.frames == 40
    other = tmp_path / name.format("b")
    if name == "{}":
        other.mkdir()
    rendered(z, other)
    made, expected = (
        {each.relative_to(tmp_path).as_posix()[1:]: each.read_bytes() for each in files_in(path)}
        for path in (tmp_path.glob("a*"), tmp_path.glob("b*"))
    )
    assert made == expected
    assert len(made) in (1, 40)


def files_in(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        yield from path.rglob("*") if path.is_dir() else [path]


def test_nothing_is_left_of_frames_apart(nodes: Any, tmp_path: Path) -> None:
    z = latents(40)
    z[35] = float("nan")
    with pytest.raises(ts.NonFiniteError):
        rendered(z, tmp_path / "a.npy", cluster=nodes.address)
    assert not list(tmp_path.iterdir())


def test_a_plan(nodes: Any, tmp_path: Path) -> None:
    """It is the one that is carried out, and moves what it says."""
    z, told = latents(90), list[ts.TilePlan]()
    rendered(z, tmp_path / "a.mkv", cluster=nodes.address, on_plan=told.append)
    options: dict[str, Any] = {"device": "cpu", "backend": "torch", "dtype": "float32"}
    made = plan_for(z, model="nano", cluster=nodes.address, **options)
    assert made.units is not None
    assert made.units.seconds is not None, "the model is tried for it"
    assert replace(made.units, seconds=None) == told[0].units
    assert (made.units.workers, made.units.count, made.units.each) == (2, 6, 16)
    assert made.units.read_bytes == z.nbytes
    assert "2 workers, 6 units of up to 16 frames" in str(made)
    z = latents(1, 96, 70)
    whole = plan_for(z, tmp_path / "a.tif", model="nano", tile=5, **options)
    made = plan_for(z, tmp_path / "a.tif", model="nano", tile=5, cluster=nodes.address, **options)
    assert made.units is not None
    assert made.units.written_bytes == 768 * 560 * 3
    assert (made.grid, made.peak_bytes) == (whole.grid, whole.peak_bytes)


def test_a_plan_says_what_is_made_again(nodes: Any) -> None:
    z = latents(400)
    made = plan_for(z, model="taesdv", device="cpu", backend="torch", cluster=nodes.address)
    assert made.units is not None
    assert (made.units.count, made.units.each) == (4, 100)
    assert made.units.again == 3 * 10 / 400
    assert made.units.read_bytes == z[0].nbytes * 430


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"out": "-"}, "expected a file, found - for standard output"),
        ({"cluster": "here"}, "expected auto, or an address such as"),
        (
            {"cluster": "127.0.0.1:9"},
            "expected the head of a Ray cluster at 127.0.0.1:9, found none",
        ),
    ],
)
def test_what_cannot_be(tmp_path: Path, change: dict[str, str], words: str) -> None:
    out = Path(change.pop("out", tmp_path / "a.mkv"))
    options: dict[str, Any] = {"lossless": False, "cluster": "auto"} | change
    with pytest.raises(ts.InputError, match=words):
        rendered(latents(4), out, **options)


def test_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ts.MissingExtraError, match=r"pip install 'taesd-stream\[ray\]'"):
        rendered(latents(4), tmp_path / "a.mkv", cluster="auto")
    with pytest.raises(ts.MissingExtraError):
        load_ray()
