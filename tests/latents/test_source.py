"""Whatever the layout and the format: the same latents."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st

from taesd_stream.errors import LatentsError
from taesd_stream.latents import LatentSource, open_latents
from tests.latents.saving import FRAMES, NUMPY_FORMATS, TORCH_FORMATS, save_legacy


@st.composite
def _cases(draw):
    layout = draw(st.sampled_from(sorted(FRAMES)))
    sizes = {"C": 4, **{axis: draw(st.integers(1, 3), label=axis) for axis in "NTHW"}}
    shape = [sizes[axis] for axis in layout.split()]
    save = draw(st.sampled_from([*NUMPY_FORMATS, *TORCH_FORMATS, None]))
    dtypes = [torch.float16, torch.float32, torch.float64]
    if save not in NUMPY_FORMATS:
        dtypes += [torch.bfloat16]
    if save not in [*NUMPY_FORMATS, save_legacy]:
        dtypes += [torch.float8_e4m3fn]
    dtype = draw(st.sampled_from(dtypes))
    array = torch.linspace(-3, 3, int(np.prod(shape))).reshape(shape).to(dtype)
    bounds = st.none() | st.integers(-12, 12)
    step = st.none() | st.sampled_from([1, 2, 3, -1, -2])
    return layout, array, save, slice(draw(bounds), draw(bounds), draw(step))


@settings(max_examples=60, deadline=None)
@given(_cases())
def test_whatever_the_layout_and_the_format_the_latents_are_the_same(case):
    layout, array, save, part = case
    expected = rearrange(array.double(), FRAMES[layout])
    with contextlib.ExitStack() as stack:
        place = array
        if save is not None:
            place = save(array, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        source = stack.enter_context(open_latents(place, layout=layout))
        assert isinstance(source, LatentSource)
        assert (source.shape, source.layout, source.dtype) == (array.shape, layout, array.dtype)
        assert source.frames == len(source) == len(expected)
        assert (source.channels, source.height, source.width) == expected.shape[1:]
        assert source.nbytes == array.nbytes
        for index in range(-len(expected), len(expected)):
            assert source[index].dtype == array.dtype
            assert torch.equal(source[index].double(), expected[index])
        chosen = source[part]
        assert chosen.dtype == array.dtype
        rows = list(range(len(expected)))[part]
        assert torch.equal(chosen.double(), expected[rows])
        assert torch.equal(torch.stack(list(source)).double(), expected)


@pytest.mark.parametrize("index", [3, -4, 10**9])
def test_an_index_beyond_the_end_is_an_index_error(index):
    source = open_latents(torch.zeros(3, 4, 2, 2))
    with pytest.raises(IndexError, match="holds 3 latents"):
        source[index]


def test_what_is_returned_belongs_to_the_caller():
    tensor = torch.zeros(3, 4, 2, 2)
    source = open_latents(tensor)
    source[0].fill_(1)
    source[:].fill_(1)
    assert not tensor.any()
    assert source[1:].is_contiguous()


def test_a_tensor_that_requires_grad_is_read_without_it():
    source = open_latents(torch.zeros(3, 4, 2, 2, requires_grad=True))
    assert not source[0].requires_grad


def test_a_closed_source_says_so():
    with open_latents(torch.zeros(3, 4, 2, 2)) as source:
        assert len(list(source)) == 3
    with pytest.raises(LatentsError, match="closed"):
        source[0]


def test_the_description_is_one_line_that_holds_what_matters():
    line = open_latents(torch.zeros(2, 16, 5, 6, 7).half()).describe()
    for piece in ["10 latents", "16 channels", "7x6", "float16", "N C T H W", "memory"]:
        assert piece in line
    assert "\n" not in line


def test_the_description_tells_of_another_reading():
    assert "C T H W would fit" in open_latents(torch.zeros(4, 16, 6, 7)).describe()
    assert "would fit" not in open_latents(torch.zeros(4, 16, 6, 7), channels=16).describe()


@pytest.mark.parametrize(
    ("name", "options", "expected", "size"),
    [
        ("sd_frames.pt", {}, ("T C H W", 81, torch.float16), (4, 60, 104)),
        ("sd_ncthw.pt", {}, ("N C T H W", 16, torch.float16), (4, 60, 64)),
        ("sd_ncthw.pt", {"channels": 4}, ("N C T H W", 16, torch.float16), (4, 60, 64)),
        ("wan_t2v.pth", {}, ("N C T H W", 16, torch.bfloat16), (16, 40, 64)),
        ("flux2_clip.safetensors", {}, ("T C H W", 48, torch.float16), (32, 30, 52)),
        ("wan_t2v.pth", {"layout": "NCTHW"}, ("N C T H W", 16, torch.bfloat16), (16, 40, 64)),
    ],
)
def test_real_files(shared, name, options, expected, size):
    path = shared / "latents" / name
    with open_latents(path, **options) as source:
        layout, _, dtype = expected
        assert (source.layout, len(source), source.dtype) == expected
        assert source[0].dtype == dtype
        if path.suffix != ".safetensors":
            whole = torch.load(path, weights_only=True, map_location="cpu")
            lead = {"T C H W": "T", "N C T H W": "(N T)"}[layout]
            assert torch.equal(source[:], rearrange(whole, f"{layout} -> {lead} C H W"))
        assert source[-1].shape == size
        assert source[-1].float().std() > 0.1


def test_a_stated_layout_wins_over_what_the_numbers_tell(shared):
    with open_latents(shared / "latents" / "sd_ncthw.pt", layout="NTCHW") as source:
        assert (source.layout, len(source), source.channels) == ("N T C H W", 4, 16)
        assert "content" not in source.describe()
