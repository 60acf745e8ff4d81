"""Rows of a picture that workers write straight into a store."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from video.errors import MissingExtraError
from video.large.shards import RowShards

pytestmark = pytest.mark.filterwarnings(  # sessions that libraries leave to the end
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def test_rows_in_a_store_are_those_in_a_folder(bucket: Any, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(1, 256, (300, 40, 3), np.uint8)
    places = (bucket.address("rows.zarr"), tmp_path / "rows.zarr")
    for place in places:
        RowShards.create(place, parts=3, rows=300, width=40, channels=3)
        RowShards.open(place).write(2, rows)
        RowShards.open(place).write(0, rows[:17])
        shards = RowShards.open(place)
        assert [shards.holds(part) for part in range(3)] == [True, False, True]
        assert np.array_equal(shards.read(2, 250, 300), rows[250:])
        assert np.array_equal(shards.read(0, 0, 17), rows[:17])
        assert not shards.read(1, 0, 300).any()
    files = [each for each in places[1].rglob("*") if each.is_file()]
    local = sorted(each.relative_to(tmp_path).as_posix() for each in files)
    assert bucket.names() == local
    for name in local:
        assert bucket.read(name) == (tmp_path / name).read_bytes()
    RowShards.create(places[0], parts=3, rows=300, width=40, channels=3)
    assert not RowShards.open(places[0]).holds(2)


@pytest.mark.parametrize("module", ["fsspec.core", "s3fs"])
def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    registry = import_module("fsspec.registry")
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(registry._registry, "s3", raising=False)
    with pytest.raises(MissingExtraError, match=r"taesd-stream\[remote\]"):
        RowShards.open("s3://films/rows.zarr")
