"""A picture that workers of a cluster write straight into a store, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import taesd_stream as ts

ray = pytest.importorskip("ray", reason="needs Ray, an extra: pip install 'taesd-stream[ray]'")

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


def test_rows_go_into_the_store(bucket: Any, tmp_path: Path) -> None:
    z = torch.randn(1, 4, 96, 24, generator=torch.Generator().manual_seed(0))
    options: dict[str, Any] = {
        **{"model": "nano", "device": "cpu", "backend": "torch", "dtype": "float32"},
        **{"tile": (5, 24), "resume": True},
    }
    out = bucket.address("wall.tif")
    broken = z.clone()
    broken[..., 90, :] = float("nan")
    torch.save(broken, tmp_path / "z.pt")
    source = bucket.put(tmp_path / "z.pt")
    with pytest.raises(ts.NonFiniteError):
        ts.render(source, out, cluster="auto", **options)
    kept = [name for name in bucket.names() if name.startswith("wall.tif.resume/rows.zarr/c/")]
    assert len(kept) == 3, "finished rows stay in the store"
    torch.save(z, tmp_path / "z.pt")
    bucket.put(tmp_path / "z.pt")
    options["resume"] = False
    with pytest.raises(ts.InputError, match="give --resume"):
        ts.render(source, out, cluster="auto", **options)
    other = bucket.address("other.tif")
    done = ts.render(source, other, cluster="auto", **options)
    assert done.path == other
    ts.render(z, tmp_path / "b.tif", **options)
    assert bucket.read("other.tif") == (tmp_path / "b.tif").read_bytes()
    assert not [name for name in bucket.names() if name.startswith("other.tif.resume")]
