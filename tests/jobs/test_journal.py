"""Journals: what survives, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taesd_stream import InputError, OutputError
from taesd_stream.jobs.resume.journal import Journal, folder_of

SETTINGS = {"model": "taesd", "size": "64x32"}


def test_a_journal_is_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "a.tif"
    with Journal.open(out, SETTINGS) as journal:
        assert journal.done == 0
        (journal.folder / "rows.npy").write_text("rows")
        (journal.folder / "half").mkdir()
        journal.note(5)
    with Journal.open(out, dict(reversed(SETTINGS.items()))) as again:
        assert (again.done, again.folder) == (5, tmp_path / "a.tif.resume")
        again.keep_only("rows.npy")
        assert (again.folder / "rows.npy").exists()
        assert not (again.folder / "half").exists()
        assert Journal.recorded(out, "size") == "64x32"
        assert Journal.recorded(out, "tile") is None
        again.finish()
    assert not journal.folder.exists()
    assert Journal.recorded(out, "size") is None


def test_it_is_there_from_the_beginning_and_never_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.open(tmp_path / "a.tif", SETTINGS)
    journal.note(1)
    del journal  # the end of its process

    def power_failure(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", power_failure)
    with (
        pytest.raises(KeyboardInterrupt),
        Journal.open(tmp_path / "a.tif", SETTINGS) as journal,
    ):
        journal.note(2)
    monkeypatch.undo()
    assert Journal.open(tmp_path / "a.tif", SETTINGS).done == 1


def test_two_runs_at_a_time_are_refused_and_one_after_the_other_is_not(tmp_path: Path) -> None:
    out = tmp_path / "a.tif"
    with Journal.open(out, SETTINGS) as journal:
        with pytest.raises(InputError, match=r"found another at work in .*a\.tif\.resume"):
            Journal.open(out, SETTINGS)
        journal.note(1)
    for _ in range(2):
        with pytest.raises(InputError, match="model was taesd"):
            Journal.open(out, {})
    with Journal.open(out, SETTINGS) as again:
        assert again.done == 1


def test_a_file_system_without_locks_is_told_and_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: object, **__: object) -> None:
        raise NotImplementedError("flock is not there")

    monkeypatch.setattr("filelock.FileLock.acquire", no_locks)
    with Journal.open(tmp_path / "a.tif", SETTINGS) as journal:
        journal.note(1)
    assert "no locks here" in caplog.text
    with Journal.open(tmp_path / "a.tif", SETTINGS) as journal:
        assert journal.done == 1
        journal.finish()


def test_another_run_is_refused_with_what_is_different(tmp_path: Path) -> None:
    Journal.open(tmp_path / "a.tif", SETTINGS)
    with pytest.raises(InputError) as caught:
        Journal.open(tmp_path / "a.tif", {"model": "taesdxl", "wrap": "x", "size": "64x32"})
    said = str(caught.value)
    assert "model was taesd, now taesdxl; wrap was not given, now x" in said
    assert "size" not in said
    assert "remove the folder to begin anew" in said


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "null",
        json.dumps({"format": "another", "done": 1, "settings": SETTINGS}),
        json.dumps({"format": "taesd-stream journal 1", "done": "x", "settings": SETTINGS}),
        json.dumps({"format": "taesd-stream journal 1", "done": -1, "settings": SETTINGS}),
        json.dumps({"format": "taesd-stream journal 1", "done": 1, "settings": 3}),
    ],
)
def test_a_broken_journal_is_refused(tmp_path: Path, content: str) -> None:
    folder = folder_of(tmp_path / "a.tif")
    folder.mkdir()
    (folder / "journal.json").write_text(content)
    with pytest.raises(InputError, match=r"that cannot be read .*to begin anew"):
        Journal.open(tmp_path / "a.tif", SETTINGS)
    assert (folder / "journal.json").read_text() == content


def test_a_run_that_was_killed_while_it_began_is_begun_anew(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a.tif")
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "journal.part").write_text('{"form')
    with Journal.open(tmp_path / "a.tif", SETTINGS) as journal:
        assert journal.done == 0
    assert sorted(path.name for path in folder.iterdir()) == ["journal.json", "lock"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a.tif")
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"found one without a journal; move it away"):
        Journal.open(tmp_path / "a.tif", SETTINGS)
    assert [each.name for each in folder.iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "a.tif.resume").write_text("a file")
    with pytest.raises((InputError, OutputError)):
        Journal.open(tmp_path / "a.tif", SETTINGS)
