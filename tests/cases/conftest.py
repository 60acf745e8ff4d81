"""Fixtures shared by the cases that users have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engine.conftest import Models


@pytest.fixture(scope="session")
def model() -> Models:
    """``model(name)``: a variant with the goldens' weights."""
    from tests.engine.conftest import model_named

    return model_named
