"""Outputs at addresses are those of a local run, and nothing is lost where one does not arrive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr

import taesd_stream as ts
from taesd_stream.cli.main import main
from taesd_stream.engine.streams.video_run import VideoRun
from taesd_stream.jobs import decoding
from taesd_stream.jobs.resume import resumed_video as resuming
from taesd_stream.models import variant_named
from taesd_stream.models.weights.official import cache_folder
from taesd_stream.remote.outputs import RemoteOutput
from taesd_stream.remote.scratch import copied

pytestmark = pytest.mark.filterwarnings(  # sessions that libraries leave to the end
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

Z = torch.randn(20, 4, 6, 8, generator=torch.Generator().manual_seed(0))
OPTIONS: dict[str, Any] = {"model": "latent2rgb", "device": "cpu", "backend": "torch"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; what a test leaves in its folder "remote" is what was not uploaded."""
    monkeypatch.setenv("TAESD_STREAM_CACHE", str(tmp_path / "cache"))
    return cache_folder()


def left_in(cache: Path) -> list[str]:
    found = (cache / "remote").rglob("*") if (cache / "remote").is_dir() else ()
    return sorted(each.name for each in found if each.is_file() and each.name != "lock")


@pytest.fixture(scope="module")
def encoder() -> ts.AutoEncoder:
    """An encoder with TAESD's shapes, whose weights mean nothing."""
    half = variant_named("taesd").encoder
    assert half is not None
    generator = torch.Generator().manual_seed(0)
    shapes = half().shapes().items()
    state = {f"encoder.{name}": torch.randn(s, generator=generator) / 12 for name, s in shapes}
    return ts.load(state, variant="taesd", device="cpu")


@pytest.mark.parametrize("name", ["a.mkv", "a.gif", "a.npy", "a.safetensors"])
def test_a_file_arrives(bucket: Any, tmp_path: Path, cache: Path, name: str) -> None:
    done = ts.render(Z, bucket.address(f"out/{name}"), **OPTIONS)
    ts.render(Z, tmp_path / name, **OPTIONS)
    assert bucket.read(f"out/{name}") == (tmp_path / name).read_bytes()
    assert done.path == bucket.address(f"out/{name}")
    assert done.to_json()["files"] == [bucket.address(f"out/{name}")]
    assert str(done).startswith(f"s3://{bucket.name}/out/{name}: 20 frames")
    assert bucket.names() == [f"out/{name}"]
    assert left_in(cache) == []


@pytest.mark.parametrize("name", ["a.tif", "a.ome.zarr", "a.dzi", "a.png"])
def test_a_picture_arrives_with_all_its_files(
    bucket: Any, tmp_path: Path, cache: Path, name: str
) -> None:
    bucket.files.pipe_file(f"{bucket.name}/b_files/mine.txt", b"of another")
    for _ in range(2):
        ts.render(Z[:1], bucket.address(name), overwrite=True, **OPTIONS)
    (tmp_path / "local").mkdir()
    ts.render(Z[:1], tmp_path / "local" / name, **OPTIONS)
    files = [each for each in (tmp_path / "local").rglob("*") if each.is_file()]
    made = {each.relative_to(tmp_path / "local").as_posix(): each.read_bytes() for each in files}
    assert bucket.names() == sorted([*made, "b_files/mine.txt"])
    for each, content in made.items():
        if each != "a.tif":  # which holds when it was made
            assert bucket.read(each) == content, each
    assert left_in(cache) == []


@pytest.mark.parametrize(("name", "last"), [("a.ome.zarr", "a.ome.zarr/zarr.json"), ("a.dzi",) * 2])
def test_what_opens_a_tree_comes_last(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, name: str, last: str
) -> None:
    put: list[str] = []
    call = type(bucket.files)._call_s3

    async def noted(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "put_object":
            put.append(kwargs["Key"])
        return await call(self, method, *args, **kwargs)

    monkeypatch.setattr(type(bucket.files), "_call_s3", noted)
    ts.render(Z[:1], bucket.address(name), **OPTIONS)
    assert sorted(put) == bucket.names()
    assert put[-1] == last


def test_what_an_older_tree_had_more_is_gone(bucket: Any) -> None:
    bucket.files.pipe_file(f"{bucket.name}/a.ome.zarr/9/c/0", b"old")
    with pytest.raises(ts.OutputExistsError):
        ts.render(Z[:1], bucket.address("a.ome.zarr"), **OPTIONS)
    ts.render(Z[:1], bucket.address("a.ome.zarr"), overwrite=True, **OPTIONS)
    assert "a.ome.zarr/zarr.json" in bucket.names()
    assert "a.ome.zarr/9/c/0" not in bucket.names()


@pytest.mark.parametrize("name", ["frames/", "frames/%03d.png"])
def test_numbered_pictures_arrive(bucket: Any, cache: Path, name: str) -> None:
    ts.render(Z[:3], bucket.address(name), **OPTIONS)
    digits = 3 if "%" in name else 5
    assert bucket.names() == [f"frames/{number:0{digits}d}.png" for number in range(3)]
    assert left_in(cache) == []
    with pytest.raises(ts.OutputExistsError, match=r"frames.*exists already"):
        ts.render(Z[:3], bucket.address(name), **OPTIONS)


def test_what_is_there_is_told_before_a_model_is_loaded(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*args: object, **kwargs: object) -> None:
        raise AssertionError("a model was loaded")

    bucket.files.pipe_file(f"{bucket.name}/a.mp4", b"mine")
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "open_with_model", load)
        with pytest.raises(ts.OutputExistsError, match=r"s3://.*/a\.mp4' exists already"):
            ts.render(Z, bucket.address("a.mp4"), **OPTIONS)
        with pytest.raises(ts.InputError, match="s3://no-such-bucket: expected a place to write"):
            ts.render(Z, "s3://no-such-bucket/a.mp4", **OPTIONS)
        for place in ("https://example.org/a.mp4", "http://example.org/a.mp4"):
            with pytest.raises(ts.InputError, match="can only be read"):
                ts.render(Z, place, **OPTIONS)
        with pytest.raises(ts.InputError, match="expected an address with a name"):
            ts.render(Z, f"s3://{bucket.name}", **OPTIONS)
        with pytest.raises(ts.InputError, match="preview: expected a file of this machine"):
            ts.render(Z, bucket.address("b.tif"), preview=bucket.address("b.png"), **OPTIONS)
    assert bucket.read("a.mp4") == b"mine"
    ts.render(Z, bucket.address("a.mp4"), overwrite=True, **OPTIONS)
    assert bucket.read("a.mp4") != b"mine"


class StopError(Exception):
    """An error that ends a run in the middle."""


def test_a_run_that_was_cut_short_is_gone_on_with(
    bucket: Any, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "_MOST_SEGMENT_FRAMES", 6)
    monkeypatch.setattr(resuming, "_FEWEST_SEGMENT_FRAMES", 6)
    ts.render(Z, tmp_path / "a.mkv", resume=True, **OPTIONS)
    made: list[int] = []
    stream = VideoRun.tensors

    def failing(run: VideoRun, **options: Any) -> Iterator[torch.Tensor]:
        for number, frame in enumerate(stream(run, **options)):
            made.append(number)
            if len(made) == 14:
                raise StopError
            yield frame

    monkeypatch.setattr(VideoRun, "tensors", failing)
    with pytest.raises(StopError):
        ts.render(Z, bucket.address("a.mkv"), resume=True, **OPTIONS)
    assert bucket.names() == []
    (journal,) = (cache / "remote").rglob("journal.json")
    (journal.parents[1] / "a.part.mkv").write_bytes(b"of a run that was killed")
    ts.render(Z, bucket.address("a.mkv"), resume=True, **OPTIONS)
    assert len(made) == 14 + 20 - 12  # twelve were kept
    assert bucket.read("a.mkv") == (tmp_path / "a.mkv").read_bytes()
    assert bucket.names() == ["a.mkv"]
    assert left_in(cache) == []


def test_what_cannot_be_uploaded_is_kept(
    bucket: Any, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = bucket.address("a.mkv")

    options = {"resume": True, "on_progress": _vanishing(bucket), **OPTIONS}
    with pytest.raises(ts.OutputError) as caught:
        ts.render(Z, address, **options)
    told = str(caught.value)
    assert told.startswith(f"{address}: expected a place to write, found none")
    (kept,) = (cache / "remote").rglob("a.mkv")
    assert f"kept as {kept}: the same command with --resume" in told
    bucket.files.mkdir(bucket.name)

    def decode(*args: object, **kwargs: object) -> None:
        raise AssertionError("it was made again")

    content = kept.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(VideoRun, "tensors", decode)
        done = ts.render(Z, address, resume=True, **OPTIONS)
    assert (done.path, bucket.read("a.mkv")) == (address, content)
    assert left_in(cache) == []
    # What was kept of another run is only replaced where that is asked for.
    with pytest.raises(ts.OutputError, match=r"b\.mkv: expected a place to write"):
        ts.render(Z, bucket.address("b.mkv"), **options)
    bucket.files.mkdir(bucket.name)
    with pytest.raises(ts.OutputExistsError, match="no run of this command"):
        ts.render(Z[:3], bucket.address("b.mkv"), resume=True, **OPTIONS)
    ts.render(Z[:3], bucket.address("b.mkv"), resume=True, overwrite=True, **OPTIONS)
    assert bucket.names() == ["b.mkv"]


def _vanishing(bucket: Any) -> Any:
    """Remove the bucket as soon as something is done."""

    def take_away(done: float, total: float | None) -> None:
        if bucket.files.exists(bucket.name):
            bucket.files.rm(bucket.name, recursive=True)

    return take_away


def test_a_large_file_goes_in_parts(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content = np.random.default_rng(0).bytes(40 << 20)
    parts: list[int] = []
    call = type(bucket.files)._call_s3

    async def counted(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if "Body" in kwargs:
            parts.append(len(kwargs["Body"]))
        return await call(self, method, *args, **kwargs)

    monkeypatch.setattr(type(bucket.files), "_call_s3", counted)
    output = RemoteOutput.at(bucket.address("a.npy"), overwrite=False)
    with output.made(resume=False, progress=False) as path:
        path.write_bytes(content)
    assert bucket.read("a.npy") == content
    assert sorted(parts) == [8 << 20, 16 << 20, 16 << 20]


def test_interrupts_tell_what_is_left_and_where(
    bucket: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    address = bucket.address("a.mkv")
    with pytest.raises(ts.Interrupted, match=f"; nothing of it is at {address} yet"):
        ts.render(Z, address, on_progress=interrupt, **OPTIONS)
    assert left_in(cache) == []
    monkeypatch.setattr(RemoteOutput, "_upload", interrupt)
    with pytest.raises(ts.Interrupted) as caught:
        ts.render(Z, address, **OPTIONS)
    (kept,) = (cache / "remote").rglob("a.mkv")
    told = f"interrupted while {address} was uploaded; the finished output is kept as {kept}: "
    assert str(caught.value) == f"{told}upload it with another program, and remove it then"


def test_errors_name_both_places(bucket: Any, cache: Path) -> None:
    with pytest.raises(ts.InputError, match="expected a name ending in") as caught:
        ts.render(Z, bucket.address("a.xyz"), **OPTIONS)
    (note,) = caught.value.__notes__
    assert note.startswith(f"{bucket.address('a.xyz')} is made as {cache}")
    with pytest.raises(ts.NonFiniteError) as other:
        ts.render(torch.full((2, 4, 6, 8), torch.nan), bucket.address("a.mkv"), **OPTIONS)
    assert not getattr(other.value, "__notes__", ())
    assert left_in(cache) == bucket.names() == []
    assert list((cache / "remote").iterdir()) == []


def test_what_others_put_there_meanwhile_stays(bucket: Any, cache: Path) -> None:
    address = bucket.address("a.mkv")

    def put(done: float, total: float | None) -> None:
        bucket.files.pipe_file(f"{bucket.name}/a.mkv", b"of another")

    with pytest.raises(ts.OutputExistsError, match=r"exists already.*the finished output is kept"):
        ts.render(Z, address, resume=True, on_progress=put, **OPTIONS)
    assert bucket.read("a.mkv") == b"of another"
    ts.render(Z, address, resume=True, overwrite=True, **OPTIONS)
    assert bucket.read("a.mkv") != b"of another"
    assert left_in(cache) == []


def test_two_runs_of_one_output(bucket: Any) -> None:
    def again(plan: object) -> None:
        ts.render(Z, bucket.address("a.mkv"), **OPTIONS)

    with pytest.raises(ts.InputError, match="expected one run at a time"):
        ts.render(Z, bucket.address("a.mkv"), on_plan=again, **OPTIONS)


def test_latents_are_encoded_from_and_to_addresses(
    bucket: Any, tmp_path: Path, cache: Path, encoder: ts.AutoEncoder
) -> None:
    ts.render(Z[:5], tmp_path / "film.mp4", **OPTIONS)
    source = bucket.put(tmp_path / "film.mp4")
    for name in ("z.safetensors", "z.npy", "z_%d.png"):
        done = ts.encode_file(source, bucket.address(name), model=encoder)
        assert done.path == bucket.address(name)
        ts.encode_file(tmp_path / "film.mp4", tmp_path / name, model=encoder)
    for name in ("z.safetensors", "z.npy", "z_0.png", "z_4.png"):
        assert bucket.read(name) == (tmp_path / name).read_bytes()
    assert left_in(cache) == []
    with pytest.raises(ts.OutputExistsError):
        ts.encode_file(source, bucket.address("z.npy"), model=encoder)
    with pytest.raises(ts.InputError, match=r"images: expected one file at s3.*found none"):
        ts.encode_file(bucket.address("none.mp4"), tmp_path / "n.npy", model=encoder)
    zarr.save_array(tmp_path / "p.zarr", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ts.InputError, match=r"images: expected one file at s3.*found a folder"):
        ts.encode_file(bucket.put(tmp_path / "p.zarr"), tmp_path / "n.npy", model=encoder)


def test_copies_go_and_are_named_in_errors(
    bucket: Any, web: Any, tmp_path: Path, encoder: ts.AutoEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    ts.render(Z[:1], web.folder / "p.png", **OPTIONS)
    ts.encode_file(web.address("p.png"), tmp_path / "a.npy", model=encoder)
    ts.encode_file(web.folder / "p.png", tmp_path / "b.npy", model=encoder)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    bucket.files.pipe_file(f"{bucket.name}/p.png", b"no picture")
    with pytest.raises(ts.InputError) as caught:
        ts.encode_file(bucket.address("p.png"), tmp_path / "c.npy", model=encoder)
    assert f"p.png is a copy of {bucket.address('p.png')}" in "".join(caught.value.__notes__)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_copy_has_the_time_of_its_content(bucket: Any) -> None:
    def time_of_copy() -> int:
        with copied(bucket.address("a.mp4"), "images") as copy:
            assert copy.name == "a.mp4"
            return copy.stat().st_mtime_ns

    times = []
    for content in (b"one", b"one", b"two"):
        bucket.files.pipe_file(f"{bucket.name}/a.mp4", content)
        times += [time_of_copy(), time_of_copy()]
    assert times[0] == times[1]
    assert times[4] == times[5]
    assert times[0] != times[4]


def test_the_command(bucket: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "z.npy", Z.numpy())
    address = bucket.address("film.mkv")
    command = ["decode", bucket.put(tmp_path / "z.npy"), address, "--model", "nano", "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["files"] == [address]
    assert main(command) == 2
    assert f"'{address}' exists already" in capsys.readouterr().err
