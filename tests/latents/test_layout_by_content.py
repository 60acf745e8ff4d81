"""Five axes that can be read two ways, told apart by their numbers."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
from einops import rearrange
from safetensors.torch import load_file, save_file

from taesd_stream.errors import LatentsError, LayoutError
from taesd_stream.latents import KNOWN_CHANNELS, infer_layout, open_latents
from taesd_stream.latents.checks import FLOATING_DTYPES
from taesd_stream.latents.layout_by_content import layout_by_content
from taesd_stream.latents.opening_stores import open_store
from taesd_stream.latents.read_options import ReadOptions
from taesd_stream.latents.tensors import TensorStore

_LAYOUTS = ("N C T H W", "N T C H W")


def _clip(frames=16, channels=16, height=10, width=12, clips=1):
    """Slow latents of unlike channels, (N, T, C, h, w)."""
    random = torch.Generator().manual_seed(0)
    scene = torch.randn(clips, 1, channels, height, width, generator=random)
    return scene + 0.3 * torch.randn(clips, frames, *scene.shape[2:], generator=random)


def _stored_as(layout, clip):
    return rearrange(clip, f"N T C H W -> {layout}").contiguous()


def _told(array):
    told = layout_by_content(TensorStore(array, "latents"), _LAYOUTS)
    return None if told is None else told.layout


class _SpiedStore(TensorStore):
    """It remembers what is read from it, and whether it was closed."""

    def __init__(self, tensor):
        super().__init__(tensor, "latents")
        self.read = []
        self.closed = False

    def copy_to(self, out, index):
        self.read.append(index)
        super().copy_to(out, index)

    def close(self):
        self.closed = True


@pytest.mark.parametrize("layout", _LAYOUTS)
@pytest.mark.parametrize("frames", [4, 16])
@pytest.mark.parametrize("channels", [4, 16, 32])
def test_time_is_where_neighbours_look_alike(layout, frames, channels):
    clip = _clip(frames, channels)
    with open_latents(_stored_as(layout, clip)) as source:
        assert (source.layout, len(source), source.channels) == (layout, frames, channels)
        assert torch.equal(source[:], clip[0])


def test_the_reason_is_the_mean_correlation_of_neighbours():
    clip = _clip(6, 5)
    planes = clip[0].flatten(2).double().numpy()
    pairs = {
        "T": [np.corrcoef(planes[t : t + 2, c])[0, 1] for t in range(5) for c in range(5)],
        "C": [np.corrcoef(planes[t, c : c + 2])[0, 1] for t in range(6) for c in range(4)],
    }
    told = layout_by_content(TensorStore(clip, "latents"), _LAYOUTS)
    assert told is not None
    for axis, correlations in pairs.items():
        assert f"{np.mean(correlations):.2f} along {axis}" in told.because


@pytest.mark.parametrize("dtype", sorted(FLOATING_DTYPES, key=str))
def test_any_dtype_tells(dtype):
    assert _told(_clip().to(dtype)) == "N T C H W"


def test_neither_the_level_nor_the_strength_of_a_plane_matters():
    clip = _clip() * torch.logspace(-3, 3, 16).view(16, 1, 1, 1)
    assert _told(clip + torch.linspace(-90, 90, 16).view(16, 1, 1)) == "N T C H W"


def test_the_middle_counts_and_not_a_dark_beginning():
    clip = _clip(24, 24)
    clip[:, :8] = 0
    assert _told(clip) == "N T C H W"


def _levels(shape):
    """Planes each of which is flat, at values that are not exact in binary."""
    return torch.linspace(0.1, 7.7, math.prod(shape), dtype=torch.float64).reshape(shape)


_INCONCLUSIVE = {
    "zero": torch.zeros(1, 16, 16, 8, 8),
    "constant": torch.full((1, 16, 16, 8, 8), 0.1),
    "flat planes alike along one axis": _levels((1, 16, 1, 1, 1)).expand(1, 16, 16, 9, 7).clone(),
    "flat planes": _levels((1, 16, 16, 1, 1)).expand(1, 16, 16, 9, 7).clone(),
    "random": torch.randn(1, 16, 16, 8, 8, generator=torch.Generator().manual_seed(0)),
    "both axes alike": _clip(16, 1).expand(1, 16, 16, 10, 12).contiguous(),
    "a ramp": torch.linspace(-3, 3, 16 * 16 * 64).reshape(1, 16, 16, 8, 8),
    "half noise": _clip() + torch.randn(1, 16, 16, 10, 12),
    "of few positions": _clip(16, 16, 3, 5),
    "of one position": _clip(16, 16, 1, 1),
    "not a number": _clip().index_fill(3, torch.tensor([5]), math.nan),
    "infinite": _clip().index_fill(3, torch.tensor([5]), math.inf),
    "too large to square": _clip().double() * 1e300,
}


@pytest.mark.parametrize("array", _INCONCLUSIVE.values(), ids=_INCONCLUSIVE.keys())
def test_where_the_numbers_do_not_tell_the_user_is_asked_as_before(array, caplog):
    with pytest.raises(LayoutError) as asked:
        infer_layout(array.shape, KNOWN_CHANNELS)
    with (
        caplog.at_level(logging.INFO, logger="taesd_stream"),
        pytest.raises(LayoutError) as caught,
    ):
        open_latents(array)
    assert str(caught.value) == f"latents: {asked.value}"
    assert caught.value.readings == asked.value.readings == _LAYOUTS
    assert not caplog.records


def test_the_rounding_errors_of_flat_planes_are_no_picture():
    levels = torch.rand(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    errors = levels[:, None].repeat(1, 63).mean(-1) - levels
    unlike = torch.stack([levels[errors > 0][:8], levels[errors < 0][:8]], dim=1).flatten()
    assert _told(unlike.view(16, 1, 1).repeat(1, 16, 1, 9, 7)) is None


@pytest.mark.parametrize(("frames", "channels"), [(1, 16), (16, 1), (1, 1)])
def test_single_slices_tell_nothing(frames, channels):
    assert _told(_clip(frames, channels)) is None
    with pytest.raises(LayoutError):
        open_latents(_clip(frames, channels), channels={1, 16})


def test_little_is_read_and_of_the_first_clip_only():
    store = _SpiedStore(_clip(16, 32, 70, 90, clips=2))
    source = open_store(store, ReadOptions(), name="latents", kind="memory")
    assert source.layout == "N T C H W"
    assert store.read == [
        (slice(0, 1), slice(4, 12), slice(12, 20), slice(3, 67), slice(13, 77)),
    ]
    assert len(source) == 32


@pytest.mark.parametrize(
    "reading",
    [
        ReadOptions("NCTHW"),
        ReadOptions("ncthw", frozenset({16})),
        ReadOptions(None, frozenset({4})),
    ],
)
def test_what_was_said_wins_and_no_numbers_are_read(reading, caplog):
    store = _SpiedStore(_clip(4, 16))
    if reading.channels == {16}:
        store = _SpiedStore(_clip(16, 16))
    with caplog.at_level(logging.INFO, logger="taesd_stream"):
        source = open_store(store, reading, name="latents", kind="memory")
    assert source.layout == "N C T H W"
    assert not store.read
    assert not caplog.records


def test_a_channel_count_that_fits_both_readings_leaves_them_to_the_numbers():
    assert open_latents(_clip(16, 16), channels=16).layout == "N T C H W"


def test_a_store_that_does_not_tell_is_closed():
    store = _SpiedStore(torch.zeros(1, 16, 16, 8, 8))
    with pytest.raises(LayoutError):
        open_store(store, ReadOptions(), name="latents", kind="memory")
    assert store.closed


def test_one_line_of_the_log_and_the_description_say_which_and_why(caplog):
    with caplog.at_level(logging.INFO, logger="taesd_stream"):
        source = open_latents(_stored_as("N C T H W", _clip()))
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    for line in (record.getMessage(), source.describe()):
        for said in ("taken as N C T H W", "by content", "along T", "along C", "--layout"):
            assert said in line
        assert "\n" not in line
    assert "N T C H W would fit" in source.describe()


def _save(path, latents):
    if path.suffix == ".npy":
        np.save(path, latents.numpy())
    elif path.suffix == ".npz":
        np.savez_compressed(path, latents=latents.numpy())
    elif path.suffix == ".safetensors":
        save_file({"latents": latents}, path)
    else:
        torch.save({"samples": latents}, path)


@pytest.mark.parametrize("layout", _LAYOUTS)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".pt"])
def test_files_of_every_kind_tell(tmp_path, suffix, layout):
    clip = _clip(clips=2)
    _save(tmp_path / f"a{suffix}", _stored_as(layout, clip))
    with open_latents(tmp_path / f"a{suffix}") as source:
        assert source.layout == layout
        assert torch.equal(source[:], rearrange(clip, "N T C H W -> (N T) C H W"))


def test_a_broken_file_is_refused_as_such(tmp_path):
    path = tmp_path / "a.npz"
    _save(path, _clip())
    data = bytearray(path.read_bytes())
    data[2000:3000] = bytes(1000)
    path.write_bytes(data)
    with pytest.raises(LatentsError, match="cannot be inflated"):
        open_latents(path)


@pytest.mark.parametrize("layout", _LAYOUTS)
def test_the_first_part_tells_for_all(tmp_path, layout, caplog):
    clip = _clip(16, 16, clips=3)
    clip[1] = 0
    clip[2] = clip[2].transpose(0, 1).clone()  # which by itself would be told otherwise
    parts = list(_stored_as(layout, clip).split(1))
    expected = rearrange(clip, "N T C H W -> (N T) C H W")
    for number, part in enumerate(parts):
        _save(tmp_path / f"{number}.npy", part)
    for place in (parts, [parts[:2], parts[2:]], {"latents": parts}, tmp_path):
        caplog.clear()
        with (
            caplog.at_level(logging.INFO, logger="taesd_stream"),
            open_latents(place) as source,
        ):
            assert torch.equal(source[:], expected)
            assert torch.equal(source[40], expected[40])
            assert torch.equal(source[0], expected[0])
            assert f"each part taken as {layout}, told by content" in source.describe()
        assert len(caplog.records) == 1


def test_a_part_of_one_reading_tells_the_later_ones():
    short, even = _clip(5, 16), torch.zeros(1, 16, 16, 10, 12)
    for layout in _LAYOUTS:
        source = open_latents([_stored_as(layout, short), even])
        assert (source.part_layout, len(source)) == (layout, 21)
    with pytest.raises(LayoutError, match=r"latents\[0\]"):
        open_latents([even, _stored_as(layout, short)])


@pytest.mark.parametrize("layout", _LAYOUTS)
@pytest.mark.parametrize("step", [1, 2, 4])
@pytest.mark.parametrize(
    "name", ["wan_t2v.pth", "sd_ncthw.pt", "sd_frames.pt", "flux2_clip.safetensors"]
)
def test_real_latents_tell_either_way_and_with_frames_left_out(shared, name, step, layout):
    path = shared / "latents" / name
    if path.suffix == ".safetensors":
        clip = load_file(path)["latents"][None]
    else:
        clip = torch.load(path, weights_only=True, map_location="cpu")
        clip = clip[None] if clip.ndim == 4 else rearrange(clip, "N C T H W -> N T C H W")
    assert _told(_stored_as(layout, clip[:, ::step])) == layout


@pytest.mark.parametrize("name", ["wan_t2v.pth", "sd_ncthw.pt"])
def test_noise_on_the_way_to_a_picture_tells_nothing(shared, name):
    clip = torch.load(shared / "latents" / name, weights_only=True, map_location="cpu").double()
    noise = torch.randn(clip.shape, generator=torch.Generator().manual_seed(0)).double()
    assert _told(clip / clip.std() + noise) is None
