"""Latents at an address are those of the file, and only what is asked for is fetched."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from PIL import Image
from safetensors.torch import save_file

import taesd_stream as ts
from taesd_stream.cli.main import main
from taesd_stream.jobs.cluster.sharing import shared_latents
from taesd_stream.latents.read_options import LatentOptions
from taesd_stream.remote.folder import RemoteZarrFolder
from taesd_stream.remote.place import Place

pytestmark = pytest.mark.filterwarnings(  # sessions that libraries leave to the end
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

Z = torch.randn(1, 4, 12, 6, 8, generator=torch.Generator().manual_seed(0))
LAYOUT = "NCTHW"


def _save_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Z.numpy()))


def _save_group(path: Path) -> None:
    group = zarr.create_group(path)
    group.create_array("latents", data=Z.numpy(), chunks=(1, 4, 5, 6, 8))
    group.create_array("count", data=np.arange(3))


def opened(place: Any) -> ts.LatentSource:
    return ts.open_latents(place, layout=LAYOUT)


SAVED: dict[str, Callable[[Path], object]] = {
    "z.npy": lambda path: np.save(path, Z.numpy()),
    "z.npz": lambda path: np.savez(path, latents=Z.numpy()),
    "packed.npz": lambda path: np.savez_compressed(path, latents=Z.numpy()),
    "z.pt": lambda path: torch.save({"latents": Z}, path),
    "old.pt": lambda path: torch.save(Z, path, _use_new_zipfile_serialization=False),
    "z.pkl": _save_pickle,
    "z.safetensors": lambda path: save_file({"latents": Z, "a": torch.zeros(7)}, path),
    "z.zarr": _save_group,
    "two.zarr": lambda path: zarr.save_array(path, Z.numpy(), zarr_format=2),
}


@pytest.mark.parametrize("name", SAVED)
def test_what_is_read_is_what_the_file_holds(bucket: Any, tmp_path: Path, name: str) -> None:
    SAVED[name](tmp_path / name)
    address = bucket.put(tmp_path / name)
    with opened(address) as source, opened(tmp_path / name) as expected:
        assert source.shape == expected.shape
        assert (source.layout, source.dtype) == (expected.layout, expected.dtype)
        assert torch.equal(source[3:9], expected[3:9])
        assert torch.equal(source[0], Z[0, :, 0])
        region = source.region(5, slice(1, 4), slice(2, 8))
        assert torch.equal(region, Z[0, :, 5, 1:4, 2:8])
        assert source.name.startswith(address)


@pytest.mark.parametrize("name", ["z.npy", "z.safetensors", "z.pt", "z.zarr"])
def test_a_decode_is_the_files(bucket: Any, tmp_path: Path, name: str) -> None:
    SAVED[name](tmp_path / name)
    options: dict[str, Any] = {"model": "nano", "device": "cpu", "layout": LAYOUT}
    ts.render(bucket.put(tmp_path / name), tmp_path / "a.npy", **options)
    ts.render(tmp_path / name, tmp_path / "b.npy", **options)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_a_png(bucket: Any, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "z.png")
    address = bucket.put(tmp_path / "z.png")
    read = [ts.open_latents(place, layout="CHW")[0] for place in (address, tmp_path / "z.png")]
    assert torch.equal(*read)


@pytest.mark.parametrize("layout", ["TCHW", "CTHW"])
def test_a_window_of_a_large_file_is_all_that_is_fetched(
    bucket: Any, tmp_path: Path, layout: str
) -> None:
    shape = {"TCHW": (300, 16, 48, 48), "CTHW": (16, 300, 48, 48)}[layout]
    path = tmp_path / "z.npy"
    numbers = np.random.default_rng(0).standard_normal(shape, np.float32)
    np.save(path, numbers)
    address = bucket.put(path)
    bucket.fetched.clear()
    with ts.open_latents(address, layout=layout) as source:
        window = source[200:210]
        with ts.open_latents(path, layout=layout) as expected:
            assert torch.equal(window, expected[200:210])
    wanted = numbers.nbytes * 10 // 300
    # Of 44 MB: of each of 16 channels what is wanted, up to the ends of two blocks.
    assert wanted <= sum(bucket.fetched) <= wanted + 33 * 2**17
    assert len(bucket.fetched) <= 36


def test_parts_that_lie_apart_are_fetched_at_once(web: Any) -> None:
    numbers = np.random.default_rng(0).standard_normal((16, 300, 32, 32), np.float32)
    np.save(web.folder / "z.npy", numbers)
    with ts.open_latents(web.address("z.npy"), layout="CTHW") as source:
        web.delay, web.most_at_once = 0.05, 0
        assert np.array_equal(source[100:150].transpose(0, 1), numbers[:, 100:150])
    assert 4 <= web.most_at_once <= 8


def test_frames_of_a_large_file_are_all_that_a_decode_fetches(web: Any, tmp_path: Path) -> None:
    path = web.folder / "z.npy"
    shape = (4, 6000, 16, 16)
    numbers = np.random.default_rng(0).standard_normal(shape, np.float32)
    np.save(path, numbers)
    options: dict[str, Any] = {"model": "nano", "layout": "CTHW", "frames": slice(4000, 4010)}
    ts.render(web.address("z.npy"), tmp_path / "a.npy", **options)
    assert sum(web.sent) < numbers.nbytes // 10
    ts.render(path, tmp_path / "b.npy", **options)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_latents_read_in_order_take_few_requests(bucket: Any, tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).standard_normal((400, 4, 24, 24), np.float32)
    np.save(tmp_path / "z.npy", numbers)
    address = bucket.put(tmp_path / "z.npy")
    bucket.fetched.clear()
    with ts.open_latents(address, layout="TCHW") as source:
        for number in range(400):
            assert np.array_equal(source[number], numbers[number])
    assert sum(bucket.fetched) < 1.2 * numbers.nbytes
    assert len(bucket.fetched) < 15


def test_folders_and_patterns(bucket: Any, tmp_path: Path) -> None:
    for number in range(3, 12):
        np.save(tmp_path / "z.npy", Z[0, :, number].numpy())
        bucket.put(tmp_path / "z.npy", f"frames/z_{number}.npy")
    bucket.files.pipe_file(f"{bucket.name}/frames/readme.txt", b"mine")
    expected = Z[0, :, 3:].transpose(0, 1)
    for place in ("frames/", "frames", "frames/z_%d.npy", "frames/z_*.npy"):
        with ts.open_latents(bucket.address(place)) as source:
            assert torch.equal(source[:], expected), place
    with ts.open_latents(bucket.address("frames/z_[3-5].npy")) as source:
        assert torch.equal(source[:], expected[:3])
    bucket.files.rm(f"{bucket.name}/frames/z_7.npy")
    with pytest.raises(ts.LatentsError, match=r"found z_8\.npy and no z_7\.npy"):
        ts.open_latents(bucket.address("frames/z_%d.npy"))
    with pytest.raises(ts.LatentsError, match=r"expected files such as y_0\.npy, found none"):
        ts.open_latents(bucket.address("frames/y_%d.npy"))
    with pytest.raises(ts.LatentsError, match="found none"):
        ts.open_latents(bucket.address("frames/*.pt"))
    with pytest.raises(ts.LatentsError, match="found a mosaic's"):
        ts.open_latents(bucket.address("frames/{row}_{column}.npy"))


def test_what_changes_while_it_is_read(bucket: Any, web: Any, tmp_path: Path) -> None:
    first, second = (np.full((40, 4, 64, 64), value, np.float32) for value in (1, 2))
    np.save(tmp_path / "z.npy", first)
    address = bucket.put(tmp_path / "z.npy")
    np.save(web.folder / "z.npy", first)
    sources = [ts.open_latents(each, layout="TCHW") for each in (address, web.address("z.npy"))]
    assert all(source[39].max() == 1 for source in sources)
    np.save(tmp_path / "z.npy", second)
    bucket.put(tmp_path / "z.npy")
    np.save(web.folder / "z.npy", second)
    for source in sources:
        with source, pytest.raises(ts.LatentsError, match="changed while it was being read"):
            source[0:20]


def test_zarr_metadata_that_change(bucket: Any, tmp_path: Path) -> None:
    zarr.save_array(tmp_path / "z.zarr", Z.numpy())
    source = opened(bucket.put(tmp_path / "z.zarr"))
    content = (tmp_path / "z.zarr" / "zarr.json").read_text()
    bucket.files.pipe_file(f"{bucket.name}/z.zarr/zarr.json", content.encode() + b" ")
    with pytest.raises(ts.LatentsError, match="changed while it was being read"):
        source[0]


def test_a_web_server(web: Any, tmp_path: Path) -> None:
    torch.save(Z, web.folder / "z.pt")
    save_file({"latents": Z}, web.folder / "z.safetensors")
    for name in ("z.pt", "z.safetensors", "z.pt?token=1"):
        with opened(web.address(name)) as source:
            assert torch.equal(source[2:5], Z[0, :, 2:5].transpose(0, 1)), name


def test_a_web_server_that_sends_no_parts(web: Any) -> None:
    web.knows_ranges = False
    numbers = np.random.default_rng(0).standard_normal((100, 4, 64, 64), np.float32)
    np.save(web.folder / "z.npy", numbers)
    with ts.open_latents(web.address("z.npy"), layout="TCHW") as source:
        assert np.array_equal(source[90:], numbers[90:])
        assert source.name == web.address("z.npy")


def test_zarr_on_a_web_server(web: Any) -> None:
    zarr.save_array(web.folder / "z.zarr", Z.numpy())
    with opened(web.address("z.zarr")) as source:
        assert torch.equal(source[:], Z[0].transpose(0, 1))


def test_broken_files(bucket: Any, tmp_path: Path) -> None:
    save_file({"latents": Z}, tmp_path / "z.safetensors")
    content = (tmp_path / "z.safetensors").read_bytes()
    for broken in (content[:-1], content + b"0", content.replace(b"[0,", b"[1,")):
        bucket.files.pipe_file(f"{bucket.name}/z.safetensors", broken)
        with pytest.raises(ts.LatentsError, match=r"s3://.*expected a \.safetensors file"):
            ts.open_latents(bucket.address("z.safetensors"))
    bucket.files.pipe_file(f"{bucket.name}/z.pt", b"")
    with pytest.raises(ts.LatentsError, match="found an empty file"):
        ts.open_latents(bucket.address("z.pt"))


def test_a_group_is_not_left(bucket: Any, tmp_path: Path) -> None:
    _save_group(tmp_path / "z.zarr")
    address = bucket.put(tmp_path / "z.zarr")
    bucket.put(tmp_path / "z.zarr" / "latents", "elsewhere")
    for key in ("../elsewhere", "/elsewhere", "latents/../../elsewhere"):
        with pytest.raises(ts.LatentsError):
            ts.open_latents(address, key=key)
        assert RemoteZarrFolder(Place.of(address)).below(key) is None


def test_what_is_not_there(bucket: Any, web: Any) -> None:
    for address in (bucket.address("z.pt"), "s3://no-such-bucket/z.pt", web.address("z.pt")):
        with pytest.raises(ts.LatentsError, match=f"{address}.*found nothing there: check"):
            ts.open_latents(address)
    with pytest.raises(ts.LatentsError, match="it is not allowed"):
        ts.open_latents(web.address("secret.pt"))
    with pytest.raises(ts.LatentsError, match="check the address, the network"):
        ts.open_latents("http://127.0.0.1:9/z.pt")


def test_without_credentials(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    type(bucket.files).clear_instance_cache()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    try:
        with pytest.raises(ts.LatentsError, match=r"found no credentials.*AWS_ACCESS_KEY_ID"):
            ts.open_latents(bucket.address("z.pt"))
        with pytest.raises(ts.InputError, match="expected a place to write, found no credentials"):
            ts.render(Z, bucket.address("a.mp4"), model="nano")
    finally:
        type(bucket.files).clear_instance_cache()


@pytest.mark.parametrize("module", ["fsspec.core", "s3fs"])
def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    words = r"s3://films/z\.pt: .*; pip install 'taesd-stream\[remote\]'"
    with pytest.raises(ts.MissingExtraError, match=words):
        ts.open_latents("s3://films/z.pt")
    with pytest.raises(ts.MissingExtraError, match=r"taesd-stream\[remote\]"):
        ts.render(Z, "s3://films/a.mp4", model="nano")
    with pytest.raises(ts.MissingExtraError, match=r"taesd-stream\[remote\]"):
        ts.encode_file("s3://films/a.mp4", tmp_path / "z.npy")


def test_the_command(bucket: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "z.npy", Z.numpy())
    address = bucket.put(tmp_path / "z.npy")
    assert main(["info", address]) == 0
    assert f"{address}: 12 latents of 4 channels" in capsys.readouterr().out
    assert main(["plan", address, "--model", "nano", "--layout", LAYOUT]) == 0
    assert "12 frames" in capsys.readouterr().out
    assert main(["info", bucket.address("none.npy")]) == 2
    assert "found nothing there" in capsys.readouterr().err


def test_what_may_be_secret_is_not_told(web: Any) -> None:
    np.save(web.folder / "z.npy", Z.numpy())
    with opened(web.address("z.npy?signature=1234")) as source:
        assert source.name == web.address("z.npy")
    for name in ("secret.npy", "none.npy"):
        with pytest.raises(ts.LatentsError) as caught:
            ts.open_latents(web.address(f"{name}?signature=1234"))
        assert "1234" not in str(caught.value)


def test_workers_of_a_cluster_read_addresses_themselves(bucket: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", Z.numpy())
    address = bucket.put(tmp_path / "z.npy")
    with opened(address) as source:
        stored = shared_latents(address, LatentOptions(layout=LAYOUT), source).stored
    assert stored is not None
    seen = stored.opened()
    assert seen is not None
    assert torch.equal(seen[3], Z[0, :, 3])
