"""Whatever goes wrong: nothing is left, nothing is lost, and the message says which."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from tests.video.test_large_pyramid import noise
from video import InputError, OutputError, OutputExistsError
from video.large.formats import RowPicture
from video.large.png import PngEncoder
from video.large.row_writer import RowWriter
from video.large.writing import open_rows

pytest.importorskip("tifffile", reason="tifffile writes .tif")
zarr = pytest.importorskip("zarr", reason="zarr writes .ome.zarr")
pytest.importorskip("png", reason="pypng writes .png")

NAMES = ["a.tif", "a.ome.zarr", "a.dzi", "a.png", "a.npy"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> object:
    yield
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("video-large", "taesd-stream"))]


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(entry.relative_to(folder)): entry.read_bytes() if entry.is_file() else None
        for entry in folder.rglob("*")
    }


def write_all(writer: RowWriter, image: np.ndarray) -> None:
    with writer:
        writer.write(image)


def write_and_fail(writer: RowWriter, image: np.ndarray, error: BaseException) -> NoReturn:
    with writer:
        writer.write(image)
        assert writer.part_path is not None
        assert writer.part_path.name.startswith("a.part.")
        raise error


@pytest.mark.parametrize("error", [RuntimeError("ours"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", NAMES)
def test_an_exception_in_the_block_leaves_nothing(
    tmp_path: Path, name: str, error: BaseException
) -> None:
    writer = open_rows(tmp_path / name, width=600, height=900)
    with pytest.raises(type(error)):
        write_and_fail(writer, noise(800, 600), error)
    assert tree(tmp_path) == {}
    assert writer.part_path is None
    with pytest.raises(InputError, match="is closed; no row can follow"):
        writer.write(noise(1, 600))


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupt_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    writer = open_rows(tmp_path / name, width=600, height=900)
    add = writer._encoder.add  # type: ignore[attr-defined]

    def interrupted(rows: np.ndarray) -> None:
        add(rows)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(writer._encoder, "add", interrupted)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        write_all(writer, noise(900, 600))
    assert tree(tmp_path) == {}


def test_an_interrupt_while_it_opens_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = PngEncoder.__init__

    def interrupted(self: PngEncoder, part: Path, picture: RowPicture) -> None:
        signal.raise_signal(signal.SIGINT)
        make(self, part, picture)

    monkeypatch.setattr(PngEncoder, "__init__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_rows(tmp_path / "a.png", width=6, height=9)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("name", NAMES)
def test_missing_rows_leave_nothing(tmp_path: Path, name: str) -> None:
    writer = open_rows(tmp_path / name, width=60, height=90)
    with pytest.raises(InputError, match=r"expected 90 rows for .*; found 89"):
        write_all(writer, noise(89, 60))
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("name", NAMES)
def test_too_many_rows_leave_nothing(tmp_path: Path, name: str) -> None:
    writer = open_rows(tmp_path / name, width=60, height=90)
    with pytest.raises(InputError, match=r"expected 90 rows for .*; found 91"):
        write_all(writer, noise(91, 60))
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((2, 5, 3), np.uint8), r"shape \(n, 6, 3\) .* found shape \(2, 5, 3\)"),
        (np.zeros((2, 6), np.uint8), r"found shape \(2, 6\)"),
        (np.zeros((2, 6, 4), np.uint8), r"found shape \(2, 6, 4\)"),
        (np.zeros((0, 6, 3), np.uint8), r"found shape \(0, 6, 3\)"),
        (np.zeros((2, 6, 3), np.float32), "dtype float32"),
        ([[[0, 0, 0]] * 6], "found list"),
    ],
)
def test_wrong_rows_are_refused_and_right_ones_may_follow(
    tmp_path: Path, rows: object, message: str
) -> None:
    image = noise(4, 6)
    with open_rows(tmp_path / "a.npy", width=6, height=4) as writer:
        writer.write(image[:1])
        with pytest.raises(InputError, match=message):
            writer.write(rows)  # type: ignore[arg-type]
        assert writer.rows_written == 1
        writer.write(image[1:])
    np.testing.assert_array_equal(np.load(writer.path)[0], image)


@pytest.mark.parametrize("name", NAMES)
def test_what_exists_is_replaced_on_demand_only(tmp_path: Path, name: str) -> None:
    old, new = noise(300, 700, seed=1), noise(40, 50, seed=2)
    write_all(open_rows(tmp_path / name, width=700, height=300), old)
    before = tree(tmp_path)
    with pytest.raises(OutputExistsError, match="exists already"):
        open_rows(tmp_path / name, width=50, height=40)
    writer = open_rows(tmp_path / name, width=50, height=40, overwrite=True)
    with pytest.raises(RuntimeError):
        write_and_fail(writer, new, RuntimeError())
    assert tree(tmp_path) == before
    write_all(open_rows(tmp_path / name, width=50, height=40, overwrite=True), new)
    replaced = tree(tmp_path)
    (tmp_path / "fresh").mkdir()
    write_all(open_rows(tmp_path / "fresh" / name, width=50, height=40), new)
    assert replaced == tree(tmp_path / "fresh")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_taken_meanwhile_keeps_both(tmp_path: Path, name: str) -> None:
    writer = open_rows(tmp_path / name, width=50, height=40)
    writer.write(noise(40, 50))
    if name.endswith(".zarr"):
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("theirs")
    with pytest.raises(OutputExistsError, match="appeared while it was being written"):
        writer.close()
    kept = writer.kept_part
    assert kept is not None
    assert kept.name.startswith("a.part.")
    assert writer.notes == (f"kept: '{kept}' (complete)",)
    theirs = tmp_path / name
    assert theirs.is_dir() if name.endswith(".zarr") else theirs.read_text() == "theirs"
    # Under another name, what was kept is whole.
    write_all(open_rows(tmp_path / f"b{name[1:]}", width=50, height=40), noise(40, 50))
    if name == "a.dzi":
        assert tree(tmp_path / "a.part_files") == tree(tmp_path / "b_files")
    elif not name.endswith(".zarr"):
        assert kept.read_bytes() == (tmp_path / f"b{name[1:]}").read_bytes()


def test_a_foreign_folder_that_appears_is_not_replaced(tmp_path: Path) -> None:
    writer = open_rows(tmp_path / "a.ome.zarr", width=50, height=40, overwrite=True)
    writer.write(noise(40, 50))
    (tmp_path / "a.ome.zarr").mkdir()
    (tmp_path / "a.ome.zarr" / "precious.txt").write_text("years of work")
    with pytest.raises(OutputExistsError, match="appeared"):
        writer.close()
    assert (tmp_path / "a.ome.zarr" / "precious.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", ["a.ome.zarr", "a.dzi"])
def test_a_swap_that_fails_puts_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write_all(open_rows(tmp_path / name, width=50, height=40), noise(40, 50, seed=1))
    before = tree(tmp_path)
    writer = open_rows(tmp_path / name, width=50, height=40, overwrite=True)
    writer.write(noise(40, 50, seed=2))
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if ".part" in self.name:
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OutputError, match=r"Permission denied; the picture is '.*a\.part\."):
        writer.close()
    after = tree(tmp_path)
    assert {path: after[path] for path in before} == before


def test_an_old_folder_that_cannot_go_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(open_rows(tmp_path / "a.zarr", width=50, height=40), noise(40, 50))
    writer = open_rows(tmp_path / "a.zarr", width=70, height=40, overwrite=True)
    writer.write(noise(40, 70))

    def failing(folder: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", failing)
    with pytest.raises(OutputError, match=r"is complete, but .*a\.old\.zarr"):
        writer.close()
    assert zarr.open_group(tmp_path / "a.zarr", mode="r")["0"].shape == (3, 40, 70)
    assert writer.part_path is None


@pytest.mark.parametrize("name", NAMES)
def test_what_an_earlier_run_left_is_not_touched(tmp_path: Path, name: str) -> None:
    suffix = name[1:]
    left = tmp_path / ("a.part_files" if name == "a.dzi" else f"a.part{suffix}")
    if name in ("a.dzi", "a.ome.zarr"):
        left.mkdir()
        (left / "half").write_text("of it")
    else:
        left.write_text("half of it")
    before = tree(tmp_path)
    with open_rows(tmp_path / name, width=5, height=4) as writer:
        assert writer.part_path == tmp_path / f"a.part2{suffix}"
        writer.write(noise(4, 5))
    after = tree(tmp_path)
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize("name", NAMES)
def test_an_error_that_was_swallowed_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    writer = open_rows(tmp_path / name, width=50, height=40)

    def failing(rows: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer._encoder, "add", failing)  # type: ignore[attr-defined]
    with pytest.raises(OutputError, match=r"no room \(No space left on device\)"):
        writer.write(noise(40, 50))
    assert tree(tmp_path) == {}
    with pytest.raises(OutputError, match=r"was given up: cannot write .* no room"):
        writer.close()
    writer.close()


FULL_DISK = """
import resource, sys
import numpy as np
from video import OutputError
from video.large.writing import open_rows
import {module}

name, compression, memory = sys.argv[1], sys.argv[2] or None, int(sys.argv[3])
rows = np.random.default_rng(0).integers(0, 256, (700, 1100, 3), np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    with open_rows(
        name, width=1100, height=7000, compression=compression, memory_bytes=memory
    ) as writer:
        for _ in range(10):
            writer.write(rows)
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the limit of a file's size is of POSIX")
@pytest.mark.parametrize("memory", [1 << 20, 64 << 20])
@pytest.mark.parametrize(
    ("name", "compression", "module"),
    [
        ("a.tif", "", "tifffile"),
        ("a.tif", "none", "tifffile"),
        ("a.tif", "jpeg", "tifffile"),
        ("a.ome.zarr", "none", "zarr"),
        ("a.ome.zarr", "", "zarr"),
        ("a.dzi", "png", "cv2"),
        ("a.png", "", "png"),
        ("a.npy", "", "numpy"),
    ],
)
def test_a_full_disk_ends_it_in_one_line(
    tmp_path: Path, *, name: str, compression: str, module: str, memory: int
) -> None:
    if name == "a.dzi" and memory > 1 << 20:
        pytest.skip("no tile reaches the limit; only the temporary files of the other case do")
    process = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            FULL_DISK.format(module=module),
            str(tmp_path / name),
            compression,
            str(memory),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert process.stderr == ""
    output = f"cannot write '{tmp_path / name}': no room (File too large)"
    scratch = rf"scratch: expected room for [\d.]+ MiB in {tmp_path}, found File too large"
    assert re.match(f"{re.escape(output)}|{scratch}", process.stdout)
    assert process.stdout.count("\n") == 1
    assert tree(tmp_path) == {}


def test_a_disk_that_fills_up_under_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Path, data: bytes) -> int:
        raise OSError(122, "Disk quota exceeded")

    writer = open_rows(tmp_path / "a.dzi", width=1000, height=600)
    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises(OutputError, match=r"no room \(Disk quota exceeded\)"):
        write_all(writer, noise(600, 1000))
    assert tree(tmp_path) == {}


def test_a_disk_that_is_full_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Path, *args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", failing)
    for name in ("a.dzi", "a.ome.zarr"):
        with pytest.raises(OutputError, match="no room"):
            open_rows(tmp_path / name, width=10, height=6)
    monkeypatch.undo()
    if os.access("/proc", os.W_OK) and not Path("/proc/a.dzi").exists():
        with pytest.raises(InputError, match="choose another place"):
            open_rows("/proc/a.dzi", width=10, height=6)


@pytest.mark.parametrize("name", NAMES)
def test_memory_does_not_depend_on_the_height(tmp_path: Path, name: str) -> None:
    def peak(height: int) -> int:
        rows = np.zeros((64, 700, 3), np.uint8)
        tracemalloc.start()
        with open_rows(
            tmp_path / name, width=700, height=height, memory_bytes=1 << 20, overwrite=True
        ) as writer:
            for _ in range(height // 64):
                writer.write(rows)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(64)  # imports, and whatever is made once
    low, high = peak(1024), peak(8192)
    assert high < low * 1.2 + 300_000
    # A row of tiles that waits takes 1 MB and the picture 17 MB.
    assert high < 9_000_000


def test_a_strip_of_the_whole_picture_is_taken_in_pieces(tmp_path: Path) -> None:
    image = noise(20_000, 300)
    writer = open_rows(tmp_path / "a.png", width=300, height=20_000, memory_bytes=1 << 20)
    tracemalloc.start()
    write_all(writer, image)
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert highest < 6_000_000 < image.nbytes // 2
