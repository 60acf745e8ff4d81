"""Large pictures: nothing is unpickled, missing libraries are named, and no file stays open."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.video.large_pictures import KINDS, picture, read_all, refuse, zarr_array
from tests.video.test_large_reading_refused import save_lab
from video.large.libraries import MissingExtraError
from video.large.reading import open_regions

pytest.importorskip("tifffile")
pytest.importorskip("zarr")
pytest.importorskip("imagecodecs")


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("place", ["compressor", "filters"])
def test_pickles_are_never_read(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickles = pytest.importorskip("numcodecs.pickles")
    # As in versions of numcodecs that do not ask.
    monkeypatch.setattr(pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    path = zarr_array("yxc", 2, (83, 120, 3), compressors=None)(tmp_path, picture())
    metadata = json.loads((path / ".zarray").read_bytes())
    metadata[place] = {"id": "pickle"} if place == "compressor" else [{"id": "pickle"}]
    (path / ".zarray").write_text(json.dumps(metadata))
    (path / "0.0.0").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    refuse(path, "pickle")
    np.save(tmp_path / "a.npy", np.array([Trap(tmp_path / "sprung")]), allow_pickle=True)
    refuse(tmp_path / "a.npy", "found object")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("kind", "library"), [("tiles", "tifffile"), ("deflate", "imagecodecs"), ("zarr 3", "zarr")]
)
def test_a_missing_library_is_named(
    kind: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = KINDS[kind](tmp_path, picture())
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"needs {library}: pip install 'taesd-stream\["):
        open_regions(path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_no_file_stays_open(tmp_path: Path) -> None:
    saved = [KINDS[kind](tmp_path, picture()) for kind in ("npy", "deflate", "zarr 3")]
    raw = tmp_path / "raw"
    raw.mkdir()
    bad = tmp_path / "bad"
    bad.mkdir()
    saved += [KINDS["raw"](raw, picture()), save_lab(bad, picture())]
    read_all(saved[2])  # zarr starts threads that stay
    before = len(os.listdir("/proc/self/fd"))
    for path in saved[:-1]:
        read_all(path)
    refuse(saved[-1], "CIELAB")
    assert len(os.listdir("/proc/self/fd")) == before
