"""Models and files of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import taesd_stream as ts


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., tuple[ts.AutoEncoder, Any]]:
    """``exported(name, half)``: a model, narrow where it can be, and its half in a session."""
    import taesd_stream as ts
    from tests.exporting.some_models import some_model
    from tests.exporting.step_by_step import session_of

    def make(name: str, half: Any = "decoder", **options: Any) -> tuple[ts.AutoEncoder, Any]:
        ae, path = some_model(name), tmp_path / f"{name}_{half}.onnx"
        ts.export(ae, path, half=half, overwrite=True, **options)
        return ae, session_of(path)

    return make
