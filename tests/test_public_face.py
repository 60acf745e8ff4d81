"""The names that callers are given, and what ``help`` and editors show of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import taesd_stream as ts

METHODS = [
    value
    for owner in (
        *(ts.AutoEncoder, ts.PictureRun, ts.VideoRun, ts.StreamState, ts.LatentSource),
        ts.VideoSink,
    )
    for name, value in inspect.getmembers(owner, inspect.isfunction)
    if not name.startswith("_")
]
FUNCTIONS = [value for name in ts.__all__ if inspect.isfunction(value := getattr(ts, name))]


@pytest.mark.parametrize("called", METHODS + FUNCTIONS, ids=lambda called: called.__qualname__)
def test_keywords_are_spelled_out_and_documented(called: Callable[..., Any]) -> None:
    kinds = {each.kind for each in inspect.signature(called).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds
    assert called.__doc__


def test_rooms_for_other_programs_are_there_when_they_are_asked_for() -> None:
    assert ts.streamdiffusion.attach.__module__.startswith("taesd_stream.streamdiffusion")
    with pytest.raises(AttributeError, match="no attribute 'streams'"):
        _ = ts.streams  # type: ignore[attr-defined]
