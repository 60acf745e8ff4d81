"""What is refused before any work is done."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from video import InputError, OutputExistsError
from video.errors import MissingExtraError
from video.large.disk_space import needed_bytes
from video.large.formats import ROW_SUFFIXES
from video.large.writing import check_rows, open_rows

ZARR_GROUP = '{"zarr_format": 3, "node_type": "group", "attributes": {}}'


def check(path: Path, **options: object) -> None:
    check_rows(path, **{"width": 10, "height": 10, **options})  # type: ignore[arg-type]


def test_every_suffix_is_known(tmp_path: Path) -> None:
    assert set(ROW_SUFFIXES) == {".tif", ".tiff", ".ome.zarr", ".zarr", ".dzi", ".png", ".npy"}
    for suffix in ROW_SUFFIXES:
        check(tmp_path / f"a{suffix}")
        check(tmp_path / f"a{suffix.upper()}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.bmp", {}, r"ends in \.tif, .*found 'a\.bmp'"),
        (".tif", {}, r"ends in \.tif, .*found '\.tif'"),
        ("a.tif", {"compression": "zstd"}, "deflate or jpeg or none; found 'zstd'"),
        ("a.ome.zarr", {"compression": "jpeg"}, "zstd or none; found 'jpeg'"),
        ("a.dzi", {"compression": "webp"}, "jpeg or png; found 'webp'"),
        ("a.png", {"compression": "none"}, "deflate; found 'none'"),
        ("a.npy", {"compression": "zstd"}, "none; found 'zstd'"),
        ("a.npy", {"width": 0}, "at least 1x1; found 0x10"),
        ("a.png", {"height": 2**31}, r"2147483647 pixels a side; found 10x2147483648: write \.tif"),
        ("a.tif", {"width": 2**32}, r"4294967295 pixels a side.*write \.ome\.zarr$"),
        ("no/a.tif", {}, "create it first"),
        ("no/a.ome.zarr", {}, "create it first"),
        ("no/a.dzi", {}, "create it first"),
    ],
)
def test_what_makes_no_sense(
    tmp_path: Path, name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check(tmp_path / name, **options)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.zarr", "a.dzi", "a.npy"])
def test_no_practical_limit(tmp_path: Path, name: str) -> None:
    check(tmp_path / name, width=2**32 - 1, height=2**32 - 1)


@pytest.mark.parametrize(
    ("name", "quality", "said"),
    [
        ("a.png", 90, "expected no quality for PNG with compression deflate, found 90; leave"),
        ("a.tif", 90, "expected no quality for BigTIFF with compression deflate, found 90; give"),
        ("a.dzi", 0, "expected a quality of jpeg from 1 to 100; found 0"),
        ("a.dzi", 101, "expected a quality of jpeg from 1 to 100; found 101"),
    ],
)
def test_a_quality_without_jpeg(tmp_path: Path, name: str, quality: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_rows(tmp_path / name, width=1, height=1, quality=quality)
    with pytest.raises(InputError, match="bytes of memory; found -1"):
        open_rows(tmp_path / name, width=1, height=1, memory_bytes=-1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "name", "compression", "message"),
    [
        ("tifffile", "a.tif", None, ".tif needs tifffile"),
        ("imagecodecs", "a.tif", "jpeg", ".tif with jpeg needs imagecodecs"),
        ("zarr", "a.zarr", None, ".ome.zarr needs zarr"),
        ("png", "a.png", None, ".png needs pypng"),
    ],
)
def test_a_missing_library(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    module: str,
    name: str,
    compression: str | None,
    message: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=message) as caught:
        check(tmp_path / name, compression=compression)
    assert str(caught.value).endswith(": pip install 'taesd-stream[gigapixel]'")
    with pytest.raises(MissingExtraError, match=message):
        open_rows(tmp_path / name, width=1, height=1, compression=compression)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["a.tif", "a.dzi", "a.png", "a.npy", "a.ome.zarr"])
def test_a_folder_of_another_kind_is_never_replaced(
    tmp_path: Path, name: str, overwrite: bool
) -> None:
    precious = tmp_path / name / "precious.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    with pytest.raises(InputError, match=r"is a folder|is no Zarr group"):
        check(tmp_path / name, overwrite=overwrite)
    with pytest.raises(InputError):
        open_rows(tmp_path / name, width=1, height=1, overwrite=overwrite)
    assert [entry for entry in tmp_path.rglob("*") if entry.is_file()] == [precious]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("file", ["notes.txt", "12/notes.txt", "12", "photos/0_0.jpg"])
def test_files_beside_a_dzi_that_are_no_tiles(tmp_path: Path, file: str, overwrite: bool) -> None:
    precious = tmp_path / "a_files" / file
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    (tmp_path / "a.dzi").write_text("<Image/>")
    with pytest.raises(InputError, match=r"is no folder of Deep Zoom tiles|exists already"):
        check(tmp_path / "a.dzi", overwrite=overwrite)
    assert precious.read_text() == "years of work"


def test_tiles_without_a_dzi_exist_too(tmp_path: Path) -> None:
    (tmp_path / "a_files" / "3").mkdir(parents=True)
    (tmp_path / "a_files" / "3" / "0_0.jpg").write_bytes(b"")
    with pytest.raises(OutputExistsError, match="a_files' exists already"):
        check(tmp_path / "a.dzi")
    check(tmp_path / "a.dzi", overwrite=True)


@pytest.mark.parametrize("content", ["", "[]", "no JSON", '{"node_type": "array"}'])
def test_only_a_group_is_a_zarr_group(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    (folder / "zarr.json").write_text(content)
    with pytest.raises(InputError, match="is no Zarr group"):
        check(folder, overwrite=True)
    (folder / "zarr.json").write_text(ZARR_GROUP)
    check(folder, overwrite=True)
    with pytest.raises(OutputExistsError, match="exists already"):
        check(folder)
    (tmp_path / "link.zarr").symlink_to(folder)
    (tmp_path / "file.zarr").write_text(ZARR_GROUP)
    for name in ("link.zarr", "file.zarr"):
        with pytest.raises(InputError, match="is no Zarr group"):
            check(tmp_path / name, overwrite=True)


def test_needs_follow_the_size() -> None:
    raw = 60_000 * 60_000 * 3
    sizes = {"width": 60_000, "height": 60_000}
    assert raw < needed_bytes("a.npy", **sizes) < 1.01 * raw
    assert raw < needed_bytes("a.png", **sizes) < 1.01 * raw
    # A pyramid has a third more, and that waits in a file.
    assert 4 / 3 * raw < needed_bytes("a.tif", **sizes) < 1.8 * raw
    assert 4 / 3 * raw < needed_bytes("a.ome.zarr", **sizes) < 1.5 * raw
    assert raw / 3 < needed_bytes("a.dzi", **sizes) < 0.5 * raw
    jpeg = needed_bytes("a.tif", **sizes, compression="jpeg")
    assert raw / 3 < jpeg < needed_bytes("a.tif", **sizes)
    with pytest.raises(InputError, match=r"found 'a\.bmp'"):
        needed_bytes("a.bmp", **sizes)
