"""Errors travel from one process to another as they are."""

from __future__ import annotations

import pickle

import pytest

import taesd_stream as ts
from taesd_stream import errors


@pytest.mark.parametrize(
    ("error", "attributes"),
    [
        (ts.NonFiniteError("latent 3 holds NaN", frame=3), {"frame": 3}),
        (ts.LayoutError("two ways", readings=("TCHW", "CTHW")), {"readings": ("TCHW", "CTHW")}),
    ],
)
def test_those_that_say_more_than_words(error: Exception, attributes: dict[str, object]) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert {name: getattr(again, name) for name in attributes} == attributes


@pytest.mark.parametrize("name", sorted(set(errors.__all__) - {"NonFiniteError", "LayoutError"}))
def test_all_others(name: str) -> None:
    error = getattr(errors, name)("what was expected, and what was found")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
