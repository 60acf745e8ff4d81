"""Latents that come one by one."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch

from taesd_stream.errors import LatentsError
from taesd_stream.latents import open_latents


def _latents(count=3):
    for number in range(count):
        yield torch.full((4, 2, 3), float(number))


def test_an_iterator_is_read_once_in_order():
    source = open_latents(_latents())
    assert [float(latent[0, 0, 0]) for latent in source] == [0, 1, 2]
    with pytest.raises(LatentsError, match="cannot start again"):
        iter(source)


def test_size_and_dtype_are_known_before_and_the_first_latent_is_not_lost():
    source = open_latents(_latents(), channels=4)
    assert (source.shape, source.layout, source.dtype) == ((4, 2, 3), "C H W", torch.float32)
    assert (source.channels, source.height, source.width) == (4, 2, 3)
    assert source.frames is None
    assert source.nbytes is None
    assert len(list(source)) == 3
    assert source.shape == (4, 2, 3)


def test_nothing_is_taken_before_it_is_asked_for():
    taken = []

    def latents():
        for number in range(3):
            taken.append(number)
            yield torch.zeros(4, 2, 3)

    source = iter(open_latents(latents()))
    assert taken == []
    next(source)
    assert taken == [0]


def test_only_one_latent_is_held():
    seen = []

    def latents():
        for _ in range(5):
            latent = torch.zeros(4, 2, 3)
            seen.append(weakref.ref(latent))
            yield latent
            del latent

    for _ in open_latents(latents()):
        assert sum(reference() is not None for reference in seen) <= 1


def test_arrays_are_latents_too():
    assert [x.dtype for x in open_latents(iter([np.zeros((4, 2, 3))] * 2))] == [torch.float64] * 2


def test_what_an_iterator_cannot_do_is_said():
    source = open_latents(_latents())
    with pytest.raises(TypeError, match="no length"):
        len(source)
    with pytest.raises(LatentsError, match="iterate over it"):
        source[0]
    with pytest.raises(LatentsError, match="iterate over it"):
        source[0:2]
    assert "iterator" in source.describe()


@pytest.mark.parametrize(
    ("items", "match"),
    [
        ([torch.zeros(4, 2, 3), torch.zeros(4, 2, 4)], r"\(4, 2, 4\).* at latent 1"),
        ([torch.zeros(4, 2, 3), torch.zeros(4, 2, 3).half()], "float16 at latent 1"),
        ([torch.zeros(1, 4, 2, 3)], r"latent 0: expected a \(C, h, w\) tensor"),
        (["a"], "found str"),
        ([torch.zeros(4, 2, 3, dtype=torch.int32)], "found int32"),
        ([], "yields none"),
    ],
)
def test_what_is_no_latent_is_refused_with_its_number(items, match):
    with pytest.raises(LatentsError, match=match):
        list(open_latents(iter(items)))


def test_a_layout_or_a_key_does_not_apply():
    with pytest.raises(LatentsError, match="CHW"):
        open_latents(_latents(), layout="TCHW")
    with pytest.raises(LatentsError, match="key"):
        open_latents(_latents(), key="latents")
    with pytest.raises(LatentsError, match="16"):
        list(open_latents(_latents(), channels=16))


def test_closing_closes_the_generator():
    closed = []

    def latents():
        try:
            yield from _latents()
        finally:
            closed.append(True)

    with open_latents(latents()) as source:
        next(iter(source))
    assert closed == [True]


def test_a_closed_iterator_says_so():
    source = open_latents(_latents())
    source.close()
    with pytest.raises(LatentsError, match="closed"):
        list(source)
