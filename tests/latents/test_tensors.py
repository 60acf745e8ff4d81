"""Lists and mappings of tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from taesd_stream.errors import LatentsError
from taesd_stream.latents import open_latents

_VIDEO = torch.linspace(-3, 3, 7 * 4 * 2 * 3).reshape(7, 4, 2, 3)


@pytest.mark.parametrize(
    "items",
    [
        list(_VIDEO),
        tuple(_VIDEO.split(1)),
        [_VIDEO[:3], _VIDEO[3], _VIDEO[4:]],
        [_VIDEO[:2].numpy(), _VIDEO[2:]],
        [_VIDEO[None, :2], _VIDEO[2:].movedim(1, 0)[None]],
    ],
)
def test_a_list_follows_in_time(items):
    with open_latents(items, channels=4) as source:
        assert (source.shape, source.layout) == ((7, 4, 2, 3), "T C H W")
        assert torch.equal(source[:], _VIDEO)
        assert torch.equal(source[2:5], _VIDEO[2:5])
        assert torch.equal(source[5], _VIDEO[5])
        assert torch.equal(source[::-2], _VIDEO.flip(0)[::2])


def test_a_layout_may_be_that_of_the_items_or_of_the_whole_list():
    items = list(_VIDEO)
    assert len(open_latents(items, layout="TCHW")) == 7
    assert len(open_latents(items, layout="CHW")) == 7
    both_ways = [torch.zeros(1, 16, 16, 2, 3)] * 2
    assert len(open_latents(both_ways, layout="NTCHW")) == 32
    with pytest.raises(LatentsError, match=r"latents\[0\].*--layout"):
        open_latents(both_ways)


@pytest.mark.parametrize("key", ["latents", "samples", "latent_tensor"])
def test_the_usual_keys_are_found(key):
    content = {"noise": _VIDEO * 0, key: _VIDEO, "step": 3}
    assert torch.equal(open_latents(content)[:], _VIDEO)


def test_any_key_can_be_named_and_an_only_tensor_needs_none():
    assert torch.equal(open_latents({"z": _VIDEO, "n": torch.tensor(3)})[:], _VIDEO)
    content = {"latents": _VIDEO * 0, "z": list(_VIDEO)}
    assert torch.equal(open_latents(content, key="z")[:], _VIDEO)
    with pytest.raises(LatentsError, match=r"'y'.*'z': a list of 7"):
        open_latents(content, key="y")
    with pytest.raises(LatentsError, match="leave the key out"):
        open_latents(_VIDEO, key="latents")


def test_several_candidates_are_listed_with_their_shapes():
    content = {"a": _VIDEO, "b": _VIDEO.half(), "c": "text"}
    with pytest.raises(LatentsError, match=r"'a': float32 \(7, 4, 2, 3\), 'b': float16.*key="):
        open_latents(content)


def test_arrays_in_any_order_of_axes_and_bytes():
    array = _VIDEO.numpy()
    for view in [np.asfortranarray(array), array.astype(">f4"), array[::-1][::-1]]:
        assert torch.equal(open_latents(view)[:], _VIDEO)
    locked = array.copy()
    locked.flags.writeable = False
    assert torch.equal(open_latents(locked)[3], _VIDEO[3])
