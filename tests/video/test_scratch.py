"""Scratch files hold what they are given, make room again, and leave nothing behind."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from video import OutputError
from video.safe_files.scratch import ScratchFile


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go in these tests."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def read(scratch: ScratchFile, place: int, size_bytes: int) -> bytes:
    found = bytearray(size_bytes)
    scratch.read_into(place, found)
    return bytes(found)


def test_what_is_written_anywhere_is_read_there(folder: Path) -> None:
    scratch = ScratchFile()
    scratch.write(5, memoryview(b"abcdef").cast("B", (2, 3)))
    scratch.write(1, b"")
    scratch.write(6, b"X")
    assert read(scratch, 5, 6) == b"aXcdef"
    assert read(scratch, 0, 5) == bytes(5)
    assert bytes(scratch.map(6, 2)) == b"Xc"
    assert scratch.size_bytes == 11
    assert list(folder.iterdir()) == []


def test_freed_places_are_taken_by_data_of_their_size() -> None:
    scratch = ScratchFile()
    first, second = scratch.add(b"abc"), scratch.add(b"defg")
    scratch.free(first, 3)
    assert scratch.add(b"hijk") == 7
    assert scratch.add(b"lmn") == first
    assert scratch.add(b"opq") == 11
    assert (read(scratch, first, 3), read(scratch, second, 4)) == (b"lmn", b"defg")


def test_a_write_that_takes_a_part_goes_on_with_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = ScratchFile()
    file = scratch._file

    class Halting:
        seek = file.seek

        @staticmethod
        def write(data: memoryview) -> int:
            return file.write(data[:2])

    monkeypatch.setattr(scratch, "_file", Halting())
    scratch.write(1, b"abcde")
    monkeypatch.undo()
    assert read(scratch, 1, 5) == b"abcde"


def test_its_end_is_no_content() -> None:
    scratch = ScratchFile()
    scratch.write(0, b"abc")
    with pytest.raises(OutputError, match="expected 2 more bytes in a temporary file"):
        read(scratch, 1, 4)


@pytest.mark.parametrize("is_named", [False, True])
def test_a_closed_file_is_gone_and_so_is_a_forgotten_one(folder: Path, is_named: bool) -> None:
    for forget in (False, True):
        scratch = ScratchFile(is_named=is_named)
        scratch.add(b"abc")
        assert [path.read_bytes() for path in folder.iterdir()] == [b"abc"] * is_named
        file = scratch._file
        if is_named:
            assert scratch.path.read_bytes() == b"abc"
        if forget:
            del scratch
        else:
            scratch.close()
            scratch.close()
        assert file.closed
        assert list(folder.iterdir()) == []


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("needed_bytes", [None, 3 << 20])
def test_a_full_disk_is_told_with_what_is_needed_where_and_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, needed_bytes: int | None
) -> None:
    scratch = ScratchFile(needed_bytes=needed_bytes)
    monkeypatch.setattr(scratch, "_file", type("Full", (), {"seek": full}))
    with pytest.raises(OutputError) as caught:
        scratch.write(1 << 20, bytes(1 << 20))
    assert str(caught.value) == (
        f"scratch: expected room for {'3.0' if needed_bytes else '2.0'} MiB in {folder}, found"
        " No space left on device; free some space there, or set TMPDIR to a larger disk"
    )


def test_a_folder_of_its_own_is_named_instead_of_tmpdir(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(OutputError, match=r"free some space there, or write to another disk$"):
        ScratchFile(folder=folder / "out")
    with pytest.raises(OutputError, match=f"^scratch: expected room in {folder}, found No space"):
        ScratchFile()
