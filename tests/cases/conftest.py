"""Fixtures shared by the cases that users have."""

from tests.engine.conftest import model

__all__ = ["model"]
