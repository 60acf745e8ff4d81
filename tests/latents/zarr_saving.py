"""Zarr folders for tests; where zarr is missing, a module that imports this is skipped."""

from __future__ import annotations

import json

import numpy as np
import pytest

zarr = pytest.importorskip("zarr", reason="zarr is not installed: pip install zarr")

VIDEO = np.linspace(-3, 3, 3 * 4 * 10 * 11, dtype=np.float32).reshape(3, 4, 10, 11)
METADATA = {2: ".zarray", 3: "zarr.json"}
VERSIONS = sorted(METADATA)


def save_zarr(
    path,
    numbers=VIDEO,
    *,
    version=3,
    chunks=(2, 4, 3, 4),
    dtype="float32",
    name=None,
    fill_value=0,
    **options,
):
    array = zarr.create_array(
        store=str(path),
        name=name,
        shape=numbers.shape,
        chunks=chunks[-numbers.ndim :],
        dtype=dtype,
        zarr_format=version,
        fill_value=fill_value,
        **options,
    )
    array[:] = numbers
    return path


def change_metadata(path, **fields):
    file = next(path / name for name in METADATA.values() if (path / name).exists())
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def chunk_files(path):
    return sorted(
        file for file in path.rglob("*") if file.is_file() and not file.name.startswith((".z", "z"))
    )
