"""Pictures larger than memory: what is written, what is kept, and what goes on from it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.coder import Coder
from taesd_stream.jobs.delivery import picture_file as pictures
from taesd_stream.models import variant_named
from video.large.npy import RowFile

pytest.importorskip("tifffile")
zarr = pytest.importorskip("zarr")
pytest.importorskip("png")

LARGE = ["a.tif", "a.ome.zarr", "a.dzi", "a.png", "a.npy"]
TILE = (5, 30)


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(1, 4, 23, 30, generator=torch.Generator().manual_seed(0))


def files_of(path: Path) -> dict[str, bytes]:
    """Every file of an output, by its name."""
    roots = [path, path.with_name(f"{path.stem}_files")]
    found = [each for root in roots for each in ([root] if root.is_file() else root.rglob("*"))]
    return {str(each): each.read_bytes() for each in found if each.is_file()}


def pixels_of(path: Path) -> NDArray[np.uint8]:
    """The picture, (H, W, 3), by the library of its format."""
    if path.suffix == ".tif":
        import tifffile

        array: NDArray[np.uint8] = tifffile.imread(path)
        return array
    if path.suffix == ".zarr":
        return np.asarray(zarr.open(str(path), mode="r")["0"]).transpose(1, 2, 0)
    if path.suffix == ".npy":
        return np.load(path)[0]
    if path.suffix == ".png":
        return cv2.imread(str(path))[..., ::-1]
    folder = max((path.with_name(f"{path.stem}_files")).iterdir(), key=lambda each: int(each.name))
    tiles = {tuple(map(int, each.stem.split("_"))): each for each in folder.iterdir()}
    columns, rows = (max(place) + 1 for place in zip(*tiles, strict=True))
    return np.concatenate(
        [
            np.concatenate([cv2.imread(str(tiles[x, y])) for x in range(columns)], axis=1)
            for y in range(rows)
        ]
    )[..., ::-1]


def render(latents: object, out: Path, **options: object) -> ts.Rendered:
    wanted = {"model": "latent2rgb", "device": "cpu", "backend": "torch", "tile": TILE, **options}
    if out.suffix == ".dzi":
        wanted = {"compression": "png", **wanted}
    return ts.render(latents, out, **wanted)


def expected_pixels(latents: Tensor, **options: object) -> NDArray[np.uint8]:
    ae = ts.load("latent2rgb", device="cpu", backend="torch")
    return next(ae.stream(latents, **options))


@pytest.mark.parametrize("memory", ["auto", "16MiB"])
@pytest.mark.parametrize("name", LARGE)
def test_every_format_holds_the_decoded_picture(
    name: str, memory: str, latents: Tensor, tmp_path: Path
) -> None:
    done = render(latents, tmp_path / name, resume=True, memory=memory)
    assert (done.width, done.height, done.frames) == (240, 184, 1)
    np.testing.assert_array_equal(pixels_of(tmp_path / name), expected_pixels(latents))
    left = {each.name for each in tmp_path.iterdir()}
    assert left == ({name, "a_files"} if name == "a.dzi" else {name})


def test_one_of_several_latents(tmp_path: Path) -> None:
    latents = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    expected = expected_pixels(latents[1:2])
    render(latents, tmp_path / "a.tif", frames=slice(1, 2))
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif"), expected)
    render(iter(latents), tmp_path / "b.tif", frames=slice(1, 2))
    np.testing.assert_array_equal(pixels_of(tmp_path / "b.tif"), expected)
    render(iter(latents[1:2]), tmp_path / "c.tif")
    np.testing.assert_array_equal(pixels_of(tmp_path / "c.tif"), expected)
    for several in (latents, iter(latents)):
        with pytest.raises(ts.InputError, match="is one picture, and there are"):
            render(several, tmp_path / "d.tif")
    with pytest.raises(ts.InputError, match="there are no latents"):
        render(iter(latents), tmp_path / "d.tif", frames=slice(5, 6))
    assert not (tmp_path / "d.tif").exists()


def test_a_frame_of_a_video_model(tmp_path: Path) -> None:
    shapes = variant_named("taesdv").decoder().shapes()
    generator = torch.Generator().manual_seed(0)
    state = {f"decoder.{n}": torch.randn(s, generator=generator) / 12 for n, s in shapes.items()}
    ae = ts.load(state, variant="taesdv", device="cpu", backend="torch")
    latents = torch.randn(3, 4, 5, 6, generator=generator)
    for name in LARGE:
        render(latents, tmp_path / name, model=ae, frames=slice(2, 3), tile="auto")
        expected = list(ae.stream(latents))[2]
        np.testing.assert_array_equal(pixels_of(tmp_path / name), expected)
    with pytest.raises(ts.InputError, match="is one picture, and there are 3 frames"):
        render(latents, tmp_path / "b.tif", model=ae, tile="auto")


@pytest.mark.parametrize("name", LARGE)
def test_a_crop_of_a_picture_that_goes_around(name: str, latents: Tensor, tmp_path: Path) -> None:
    view = {"crop": (17, 5, 101, 93), "wrap": "xy"}
    render(latents, tmp_path / name, resume=True, **view)
    np.testing.assert_array_equal(pixels_of(tmp_path / name), expected_pixels(latents, **view))


class StopError(Exception):
    """An error that ends a run in the middle."""


def stop_after(bands: int, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the computation of a picture fail after so many bands."""
    original = pictures.bands_of

    def failing(*args: object) -> Iterator[object]:
        for number, band in enumerate(original(*args)):
            if number == bands:
                raise error
            yield band

    monkeypatch.setattr(pictures, "bands_of", failing)


@pytest.mark.parametrize("name", LARGE)
def test_what_was_cut_short_is_gone_on_with(
    name: str, latents: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    render(latents, tmp_path / "whole" / name, resume=True)
    out = tmp_path / name
    for bands, error in ((1, StopError()), (0, KeyboardInterrupt()), (2, StopError())):
        with monkeypatch.context() as patch:
            stop_after(bands, patch, error)
            with pytest.raises((StopError, ts.Interrupted)):
                render(latents, out, resume=True)
        assert not out.exists()
        assert (tmp_path / f"{name}.resume" / "journal.json").exists()
    (tmp_path / f"{name}.resume" / "a.part.tif").write_text("half of it")
    render(latents, out, resume=True, tile="auto")
    whole = {
        Path(key).relative_to(tmp_path / "whole"): value
        for key, value in files_of(tmp_path / "whole" / name).items()
    }
    made = {Path(key).relative_to(tmp_path): value for key, value in files_of(out).items()}
    assert made.keys() == whole.keys()
    assert made == whole
    assert not (tmp_path / f"{name}.resume").exists()


def test_ctrl_c_says_what_is_kept(
    latents: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(2, monkeypatch, KeyboardInterrupt())
    with pytest.raises(ts.Interrupted, match=r"80 of 184 rows are kept in .*a.tif.resume; "):
        render(latents, tmp_path / "a.tif", resume=True)
    with pytest.raises(ts.Interrupted, match=r"nothing is left behind \(with --resume"):
        render(latents, tmp_path / "b.tif")
    assert [each.name for each in tmp_path.iterdir()] == ["a.tif.resume"]


def test_another_calibration_is_refused(
    latents: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranges found on other latents round otherwise: half a picture of each would show."""
    with monkeypatch.context() as patch:
        patch.setattr(Coder, "rounding", "one")
        stop_after(1, patch, KeyboardInterrupt())
        with pytest.raises(ts.Interrupted):
            render(latents, tmp_path / "a.tif", resume=True)
    with pytest.raises(ts.InputError, match="found another: calibration was one, now none"):
        render(latents, tmp_path / "a.tif", resume=True)


def test_another_picture_is_refused_with_the_difference(
    latents: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.tif"
    with monkeypatch.context() as patch:
        stop_after(1, patch, StopError())
        with pytest.raises(StopError):
            render(latents, out, resume=True)
    other = latents.clone()
    other[0, 3, 22, 29] += 1
    for changed, difference in (
        ((other, {}), "numbers in the latents was"),
        ((latents, {"crop": (0, 0, 80, 184)}), "crop was none, now 0,0,80,184"),
        ((latents, {"wrap": "x"}), "wrap was none, now x"),
        ((latents, {"tile": 7}), "tile was 30x5, now 6x6"),
        ((latents, {"dtype": "bfloat16"}), "where was cpu float32 torch, now cpu bfloat16 torch"),
        ((latents, {"compression": "jpeg", "quality": 80}), "compression was default, now jpeg"),
    ):
        with pytest.raises(ts.InputError, match="found another: ") as caught:
            render(changed[0], out, resume=True, **changed[1])
        assert difference in str(caught.value)
    render(latents, out, resume=True)
    np.testing.assert_array_equal(pixels_of(out), expected_pixels(latents))


def test_rows_that_went_missing(
    latents: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(1, patch, StopError())
        with pytest.raises(StopError):
            render(latents, tmp_path / "a.tif", resume=True)
    (tmp_path / "a.tif.resume" / "rows.npy").unlink()
    with pytest.raises(ts.InputError, match=r"expected finished rows in .*rows.npy, found none"):
        render(latents, tmp_path / "a.tif", resume=True)


def test_a_disk_that_is_full_says_how_much_is_needed(
    latents: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = RowFile.write

    def full(file: RowFile, rows: NDArray[np.uint8]) -> None:
        if file.rows >= 80:
            raise OSError(28, "No space left on device")
        write(file, rows)

    with monkeypatch.context() as patch:
        patch.setattr(RowFile, "write", full)
        with pytest.raises(ts.OutputError, match="No space left") as caught:
            render(latents, tmp_path / "a.tif", resume=True)
    (note,) = caught.value.__notes__
    assert "of the disk are needed in all; 80 of 184 rows are kept" in note
    render(latents, tmp_path / "a.tif", resume=True)
    np.testing.assert_array_equal(pixels_of(tmp_path / "a.tif"), expected_pixels(latents))


def test_the_disk_is_asked_before_work_begins(
    latents: Tensor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    usage = type("usage", (), {"free": 100_000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    for name, options in (("a.npy", {"resume": True}), ("a.tif", {"resume": True}),
                          ("a.tif", {"compression": "none"})):  # fmt: skip
        with pytest.raises(ts.InputError, match=r"of the disk are needed, and 97.7 KiB are free"):
            render(latents, tmp_path / name, **options)
    render(latents, tmp_path / "a.tif")
    assert "it may be full before the picture is finished" in caplog.text


def test_a_preview_is_written_while_the_picture_is_made(latents: Tensor, tmp_path: Path) -> None:
    large = torch.nn.functional.interpolate(latents, scale_factor=6)
    render(large, tmp_path / "a.tif", preview=tmp_path / "p.png", tile=TILE)
    preview = cv2.imread(str(tmp_path / "p.png"))[..., ::-1]
    assert preview.shape == (552, 720, 3)
    expected = pixels_of(tmp_path / "a.tif").reshape(552, 2, 720, 2, 3).mean(axis=(1, 3))
    assert np.abs(preview - expected).max() <= 0.5
    with pytest.raises(ts.InputError, match="expected a picture whose name ends in"):
        render(latents, tmp_path / "b.tif", preview=tmp_path / "p.pdf")


def test_a_source_that_changes_while_it_is_read(latents: Tensor, tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", latents.numpy())

    def shrink(plan: object) -> None:
        np.save(tmp_path / "z.npy", latents.numpy()[:, :, :9])

    with pytest.raises(ts.LatentsError, match="the file changed while it was being read"):
        render(tmp_path / "z.npy", tmp_path / "a.tif", on_plan=shrink)
    assert not (tmp_path / "a.tif").exists()


@pytest.mark.parametrize("name", ["p.png", "a.png"])
def test_a_preview_replaces_nothing_but_that_of_the_run_it_goes_on_with(
    name: str, latents: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what is there nor the output itself, and it says so before the work."""
    preview = tmp_path / "p.png"
    preview.write_bytes(b"precious")
    with pytest.raises(ts.InputError, match=r"exists already|for both; give"):
        render(latents, tmp_path / "a.png", preview=tmp_path / name)
    assert preview.read_bytes() == b"precious"
    assert not (tmp_path / "a.png").exists()
    stop_after(2, monkeypatch, KeyboardInterrupt())
    with pytest.raises(ts.Interrupted):
        render(latents, tmp_path / "a.tif", resume=True, preview=tmp_path / "q.png")
    monkeypatch.undo()
    (tmp_path / "q.png").write_bytes(b"of that run")
    render(latents, tmp_path / "a.tif", resume=True, preview=tmp_path / "q.png")
    assert cv2.imread(str(tmp_path / "q.png")) is not None
    render(latents, tmp_path / "b.tif", preview=preview, overwrite=True)
    assert cv2.imread(str(preview)) is not None


@pytest.mark.parametrize(("name", "compression"), [("a.png", "deflate"), ("a.npy", "none")])
def test_the_only_compression_there_is_may_be_named(
    name: str, compression: str, latents: Tensor, tmp_path: Path
) -> None:
    render(latents, tmp_path / name, compression=compression)
    assert (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("a.mp4", {"compression": "jpeg"}, "compression: expected none for .mp4"),
        ("a.mp4", {"preview": "p.png"}, "preview: expected none for .mp4, which is a video"),
        ("a.tif", {"preview": "no/p.png"}, "there is no folder 'no'"),
        ("a.png", {"compression": "jpeg"}, "expected a compression of PNG, deflate; found 'jpeg'"),
        ("a.png", {"quality": 90}, "quality: expected none for .png, which is a picture"),
        (
            "a.dzi",
            {"quality": 101, "compression": "jpeg"},
            "expected a quality of jpeg from 1 to 100; found 101",
        ),
        ("a.tif", {"compression": "lzw"}, "expected a compression of BigTIFF, deflate or jpeg"),
        (
            "a.tif",
            {"quality": 90},
            "expected no quality for BigTIFF with compression deflate, found 90; give it",
        ),
        ("a.tif", {"codec": "h264"}, "codec: expected none for .tif, which is a picture"),
        ("no/a.tif", {}, "there is no folder"),
        ("a.jpg", {"crop": (0, 0, 240, 185)}, "expected a part of a picture of 240x184"),
    ],
)
def test_what_a_picture_cannot_be_asked_for(
    name: str, options: dict[str, object], said: str, latents: Tensor, tmp_path: Path
) -> None:
    with pytest.raises(ts.InputError, match=said):
        render(latents, tmp_path / name, **options)


@pytest.mark.parametrize(("name", "most"), [("a.jpg", 65535), ("a.webp", 16383), ("a.gif", 65535)])
def test_a_format_that_is_too_small_names_others(name: str, most: int, tmp_path: Path) -> None:
    latents = torch.zeros(1, 4, 1, 8192)
    with pytest.raises(ts.InputError, match=f"up to {most} pixels a side.* write .*\\.tif"):
        render(latents, tmp_path / name, tile="auto")


def test_a_folder_of_another_kind_is_left_alone(latents: Tensor, tmp_path: Path) -> None:
    (tmp_path / "a.ome.zarr").mkdir()
    (tmp_path / "a.ome.zarr" / "mine.txt").write_text("mine")
    with pytest.raises(ts.InputError, match=r"a\.ome\.zarr"):
        render(latents, tmp_path / "a.ome.zarr", overwrite=True)
    assert (tmp_path / "a.ome.zarr" / "mine.txt").read_text() == "mine"


KILLED = """
import sys, numpy as np, taesd_stream as ts
ts.render(sys.argv[1], sys.argv[2], model="latent2rgb", device="cpu", backend="torch",
          tile=(3, 60), resume=True)
"""


def test_runs_that_were_killed_and_resumed_are_the_same(tmp_path: Path) -> None:
    """SIGKILL at random moments, start included."""
    latents = torch.randn(1, 4, 200, 60, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "z.npy", latents.numpy())
    (tmp_path / "whole").mkdir()
    whole = tmp_path / "whole" / "a.tif"
    ts.render(latents, whole, model="latent2rgb", device="cpu", backend="torch", tile=(3, 60))
    command = [sys.executable, "-c", KILLED, str(tmp_path / "z.npy")]
    chance = random.Random(0)
    out = tmp_path / "a.tif"
    journal = tmp_path / "a.tif.resume" / "journal.json"
    kills = 0
    for most in (0, 20, 50):
        process = subprocess.Popen([*command, str(out)])
        bands = chance.random() * most
        while process.poll() is None and _bands_kept(journal) < bands:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    if not out.exists():
        options = {"model": "latent2rgb", "device": "cpu", "backend": "torch", "tile": (3, 60)}
        ts.render(tmp_path / "z.npy", out, resume=True, **options)
    assert kills or os.name == "nt"
    assert out.read_bytes() == whole.read_bytes()


def _bands_kept(journal: Path) -> int:
    return int(json.loads(journal.read_text())["done"]) if journal.exists() else 0


def test_memory_does_not_grow_with_the_height(tmp_path: Path) -> None:
    """Eight times the rows, after the others in a process of their own."""
    program = (
        "import sys, resource, taesd_stream as ts\n"
        "for name in sys.argv[1:]:\n"
        "    ts.render(name, f'{name}.tif', model='latent2rgb', device='cpu', backend='torch',"
        " memory='64MiB')\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    paths = []
    for height in (100, 800):
        path = tmp_path / f"{height}.npy"
        generator = torch.Generator().manual_seed(0)
        np.save(path, torch.randn(1, 4, height, 64, generator=generator).numpy())
        paths.append(str(path))
    command = [sys.executable, "-c", program, *paths]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    low, high = (int(peak) << 10 for peak in done.stdout.split())
    assert high - low < 60 << 20


Models = Callable[..., ts.AutoEncoder]
