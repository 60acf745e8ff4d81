"""Gradients of tiles equal those of the undivided network in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine.gradients.in_time import InTime
from taesd_stream.engine.gradients.pulling import Outward
from taesd_stream.engine.gradients.tiles import Tiles
from tiling import Interval, weights

Models = Callable[..., ts.AutoEncoder]
Half = Literal["decode", "encode"]

properties = settings(max_examples=6, deadline=None, derandomize=True)
sides = st.integers(1, 9)
tiles = st.one_of(st.none(), st.integers(2, 9), st.tuples(st.integers(2, 9), st.integers(2, 9)))

EXACT = 1e-11  # of the range, in float64: far from any kink that a rounding could step over


def random_input(ae: ts.AutoEncoder, half: Half, shape: tuple[int, ...]) -> Tensor:
    *batch, height, width = shape
    generator = torch.Generator().manual_seed(sum(shape))
    dtype = ae.settings.dtype
    if half == "decode":
        channels = ae.spec.latent_channels
        return torch.randn(*batch, channels, height, width, generator=generator, dtype=dtype)
    scale = ae.spec.spatial_scale
    plane = height * scale - height % 3, width * scale - width % 2  # no whole number of latents
    return torch.rand(*batch, 3, *plane, generator=generator, dtype=dtype)


def plain(ae: ts.AutoEncoder, half: Half) -> Callable[[Tensor], Tensor]:
    """The undivided network, cut to what ``decode`` cuts to."""
    module = ae.decoder_module() if half == "decode" else ae.encoder_module()
    return lambda source: module(source).clamp(0, 1) if half == "decode" else module(source)


def pulled(compute: Callable[[Tensor], Tensor], source: Tensor) -> Tensor:
    """The gradient of a sum with weights of what is made, which are the same every time."""
    leaf = source.clone().requires_grad_()
    made = compute(leaf)
    generator = torch.Generator().manual_seed(made.numel())
    gains = torch.randn(made.shape, generator=generator, dtype=torch.float64).to(made.dtype)
    (found,) = torch.autograd.grad(made, leaf, gains)
    return found


def check(found: Tensor, expected: Tensor, exact: float = EXACT) -> None:
    assert found.shape == expected.shape
    span = float(expected.max() - expected.min()) or float(expected.abs().max())
    assert span > 0
    assert float((found - expected).abs().max()) <= exact * span


@pytest.mark.parametrize("half", ["decode", "encode"])
@pytest.mark.parametrize("name", ["taesd", "taef2", "taesana", "nano"])
@properties
@given(sizes=st.tuples(st.integers(1, 2), sides, sides), tile=tiles)
def test_of_pictures(
    name: str, half: Half, sizes: tuple[int, int, int], tile: Any, narrow: Models
) -> None:
    ae = narrow(name, "float64")
    source = random_input(ae, half, sizes)
    found = pulled(lambda given: getattr(ae, half)(given, tile=tile), source)
    check(found, pulled(plain(ae, half), source))


@pytest.mark.parametrize("half", ["decode", "encode"])
@pytest.mark.parametrize("name", ["taesdv", "taehv", "taew2_2", "taem1", "taeh3"])
@properties
@given(sizes=st.tuples(st.integers(2, 7), st.integers(1, 4), st.integers(1, 5)), tile=tiles)
def test_of_videos(
    name: str, half: Half, sizes: tuple[int, int, int], tile: Any, narrow: Models
) -> None:
    ae = narrow(name, "float64")
    steps, *plane = sizes
    steps = steps + 1 if half == "decode" else 3 * steps
    source = random_input(ae, half, (1, steps, *plane))
    found = pulled(lambda given: getattr(ae, half)(given, tile=tile), source)
    check(found, pulled(plain(ae, half), source))


@properties
@given(steps=st.integers(1, 4), states=st.integers(2, 4), threads=st.integers(1, 2))
def test_videos_go_back_in_segments_from_states_kept_or_found_again(
    steps: int, states: int, threads: int, narrow: Models
) -> None:
    ae = narrow("taehv", "float64")
    source = random_input(ae, "decode", (1, 9, 3, 4))
    whole = pulled(plain(ae, "decode"), source)
    began = InTime.__init__

    def in_segments(self: InTime, tiles: Tiles, **_: int) -> None:
        began(self, tiles, steps=steps, states=states)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InTime, "__init__", in_segments)
        found = pulled(lambda given: ae.decode(given, tile=2, threads=threads), source)
    check(found, whole)


def test_a_video_of_more_steps_than_fit_is_recorded_in_segments(narrow: Models) -> None:
    ae = narrow("taehv", "float64")
    shape = (1, 9, ae.spec.latent_channels, 8, 8)
    roomy = ae.plan(shape, action="decode backward", threads=1)
    assert roomy.batch == 9
    memory = roomy.peak_bytes // 3
    tight = ae.plan(shape, action="decode backward", threads=1, memory=memory, tile=8)
    assert 1 <= tight.batch < 9
    assert tight.peak_bytes <= memory
    source = random_input(ae, "decode", (1, 9, 8, 8))
    found = pulled(lambda given: ae.decode(given, memory=memory, tile=8, threads=1), source)
    check(found, pulled(plain(ae, "decode"), source))


@pytest.mark.parametrize("name", ["taesd", "taef2"])
def test_of_a_crop_costs_what_the_crop_costs(name: str, narrow: Models) -> None:
    ae = narrow(name, "float64")
    source = random_input(ae, "decode", (1, 20, 24))
    x, y, width, height = crop = (37, 19, 50, 41)
    found = pulled(lambda given: ae.decode(given, crop=crop, tile=5), source)
    whole = plain(ae, "decode")
    expected = pulled(lambda given: whole(given)[..., y : y + height, x : x + width], source)
    check(found, expected)
    shape = (1, ae.spec.latent_channels, 64, 64)
    part = ae.plan(shape, action="decode backward", crop=(200, 200, 64, 64))
    assert part.passes[-1].work < 0.2 * ae.plan(shape, action="decode backward").passes[-1].work


@pytest.mark.parametrize("name", ["nano", "taef2"])
def test_of_pictures_that_go_around(name: str, narrow: Models) -> None:
    ae = narrow(name, "float64")
    source = random_input(ae, "decode", (1, 10, 12))
    found = pulled(lambda given: ae.decode(given, wrap="xy", tile=5), source)
    undivided = pulled(lambda given: ae.decode(given, wrap="xy", tile=None), source)
    check(found, undivided)
    if name == "nano":  # the moments of a plane are not those of nine
        whole = plain(ae, "decode")
        around = pulled(lambda z: whole(z.repeat(1, 1, 5, 5))[..., 160:240, 192:288], source)
        check(found, around)


@pytest.mark.parametrize("name", ["taesd", "taef2", "taesdv"])
def test_of_blended_tiles(name: str, narrow: Models) -> None:
    ae = narrow(name, "float64")
    steps = (2,) if name == "taesdv" else ()
    source = random_input(ae, "decode", (1, *steps, 15, 9))
    module = ae.decoder_module()
    parts = [Interval(0, 10), Interval(6, 15)]  # of up to 6 latents, and 2 around each
    across = [
        torch.from_numpy(each).double()
        for each in weights([part.scale(8) for part in parts], 120, 32)
    ]

    def blended(given: Tensor) -> Tensor:
        made = given.new_zeros(*given.shape[:-3], 3, 120, 72)
        for part, weight in zip(parts, across, strict=True):
            patch = module(given[..., part.start : part.stop, :]) * weight[:, None]
            rows = slice(8 * part.start, 8 * part.stop)
            made = made + torch.nn.functional.pad(patch, (0, 0, rows.start, 120 - rows.stop))
        return made.clamp(0, 1)

    def ours(given: Tensor) -> Tensor:
        return ae.decode(given, tile=(8, 9), overlap=2)

    torch.testing.assert_close(ours(source), blended(source), atol=1e-6, rtol=0)
    check(pulled(ours, source), pulled(blended, source), 1e-6)


@pytest.mark.parametrize("threads", [1, 2])
def test_planes_between_passes_go_through_scratch_files(threads: int, narrow: Models) -> None:
    ae = narrow("taef2", "float64")
    source = random_input(ae, "decode", (1, 40, 40))
    options: Any = {"action": "decode backward", "threads": 1, "tile": 8}
    roomy = ae.plan(tuple(source.shape), **options)
    tight = ae.plan(tuple(source.shape), memory=roomy.peak_bytes - 1, **options)
    assert (roomy.scratch, tight.scratch) == (False, True)
    _, decoder = ae.coders
    assert decoder is not None
    gains = torch.ones(1, 3, 320, 320, dtype=torch.float64)
    plan = replace(tight, threads=threads, cores=threads)
    found = decoder.backward.run(plan, source, Outward(gains, lambda step: step))
    module = ae.decoder_module()
    leaf = source.clone().requires_grad_()
    (expected,) = torch.autograd.grad(module(leaf).sum(), leaf)
    check(found, expected)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("taesd", (1, 4, 3, 4)), ("taef2", (1, 32, 2, 3)), ("taesdv", (1, 2, 4, 2, 3))],
)
def test_gradcheck(name: str, shape: tuple[int, ...], narrow: Models) -> None:
    ae = narrow(name, "float64")
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
    plane = [ae.spec.spatial_scale * side for side in shape[-2:]]
    gains = torch.randn(3, *plane, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda given: (ae.decode(given, tile=2) * gains).sum(), (z,))


def test_in_float32_it_is_the_same_but_for_kinks(narrow: Models) -> None:
    """Of a ReLU, or a cut, whose input is within rounding of zero, either side may be taken."""
    precise, usual = narrow("taesd", "float64"), narrow("taesd")
    source = random_input(usual, "decode", (1, 7, 9))
    found = pulled(lambda given: usual.decode(given, tile=4), source)
    expected = pulled(plain(precise, "decode"), source.double())
    assert float((found - expected).norm() / expected.norm()) < 1e-3


def test_in_bfloat16_it_points_the_same_way(narrow: Models) -> None:
    rough, precise = narrow("taesd", "bfloat16"), narrow("taesd")
    source = random_input(precise, "decode", (1, 7, 9))
    found = pulled(lambda given: rough.decode(given, tile=4), source)
    assert found.dtype == torch.float32
    expected = pulled(lambda given: precise.decode(given, tile=4), source)
    assert float(torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0)) > 0.97


def test_autocast_changes_nothing(narrow: Models) -> None:
    ae = narrow("taesd")
    source = random_input(ae, "decode", (1, 6, 5))
    expected = pulled(lambda given: ae.decode(given, tile=4), source)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = pulled(lambda given: ae.decode(given, tile=4), source)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_threads_change_no_bit(narrow: Models) -> None:
    ae = narrow("taesd")
    source = random_input(ae, "decode", (2, 9, 9))
    one, two = (
        pulled(lambda given, n=n: ae.decode(given, tile=4, threads=n), source) for n in (1, 2)
    )
    torch.testing.assert_close(one, two, atol=0, rtol=0)


@pytest.mark.parametrize("half", ["decode", "encode"])
def test_the_scale_of_the_full_vae_has_its_part_in_it(half: Half, narrow: Models) -> None:
    ae = narrow("taesd", "float64")
    source = random_input(ae, half, (1, 5, 6))
    undivided = plain(ae, half)
    factor = 0.18215

    def expected(given: Tensor) -> Tensor:
        return undivided(given * factor) if half == "decode" else undivided(given) / factor

    found = pulled(lambda given: getattr(ae, half)(given, convention="vae", tile=3), source)
    check(found, pulled(expected, source), 1e-6)


def test_packed_latents_have_a_gradient(narrow: Models) -> None:
    ae = narrow("taef1", "float64")
    tokens = torch.randn(1, 12, 64, dtype=torch.float64)
    found = pulled(lambda given: ae.decode(given, size=(64, 48)), tokens)
    undivided = plain(ae, "decode")

    def unpacked(given: Tensor) -> Tensor:
        return given.view(1, 4, 3, 16, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(1, 16, 8, 6)

    check(found, pulled(lambda given: undivided(unpacked(given)), tokens))


def test_a_forward_pass_keeps_nothing_but_its_input(narrow: Models) -> None:
    ae = narrow("taesd")
    source = random_input(ae, "decode", (1, 8, 8)).requires_grad_()
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        ae.decode(source, tile=4)
    assert [each.data_ptr() for each in kept] == [source.data_ptr()]


def test_where_none_is_asked_for_nothing_is_recorded(narrow: Models) -> None:
    ae = narrow("taesd")
    source = random_input(ae, "decode", (1, 4, 4))
    assert not ae.decode(source).requires_grad
    with torch.no_grad():
        assert not ae.decode(source.clone().requires_grad_()).requires_grad
    assert not any(p.requires_grad for half in ae.coders if half for p in half.network.parameters())


def test_a_second_derivative_is_refused(narrow: Models) -> None:
    ae = narrow("taesd")
    z = random_input(ae, "decode", (1, 4, 4)).requires_grad_()
    (first,) = torch.autograd.grad(ae.decode(z).sum(), z, create_graph=True)
    with pytest.raises(ts.InputError, match=r"first derivative.*decoder_module"):
        first.sum().backward()


def test_where_memory_runs_out_smaller_tiles_go_on(
    narrow: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae = narrow("taesd", "float64")
    source = random_input(ae, "decode", (1, 9, 8))
    back, sizes = Tiles.back, list[int]()

    def scarce(self: Tiles, block: Any, pool: Any) -> Any:
        sizes.append(block.region.area)
        if block.region.area > 64**2 // 2:
            raise MemoryError
        return back(self, block, pool)

    monkeypatch.setattr(Tiles, "back", scarce)
    found = pulled(lambda given: ae.decode(given, tile=None, threads=1), source)
    assert len(sizes) > 2
    check(found, pulled(plain(ae, "decode"), source))


def test_where_memory_runs_out_a_video_is_cut_into_smaller_tiles_alone(
    narrow: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae = narrow("taehv", "float64")
    source = random_input(ae, "decode", (1, 9, 4, 4))
    back, areas = Tiles.back_in_time, set[int]()

    def scarce(self: Tiles, block: Any, *states: Any) -> Any:
        areas.add(block.region.area)
        if block.region.area > 32**2 // 2:
            raise MemoryError
        return back(self, block, *states)

    monkeypatch.setattr(Tiles, "back_in_time", scarce)
    found = pulled(lambda given: ae.decode(given, tile=None, threads=1), source)
    assert areas == {32**2, 32**2 // 2}
    check(found, pulled(plain(ae, "decode"), source))


def test_a_budget_that_nothing_fits_is_refused_before_it_is_begun(narrow: Models) -> None:
    ae = narrow("taesd")
    z = random_input(ae, "decode", (1, 64, 64))
    with pytest.raises(ts.InputError, match="memory: taesd needs at least"):
        ae.plan(tuple(z.shape), action="decode backward", memory=1000)
    done: list[int] = []
    least = next(
        size
        for size in range(300_000, 10_000_000, 100_000)
        if _fits(ae, tuple(z.shape), "decode", size)
    )
    assert not _fits(ae, tuple(z.shape), "decode backward", least)
    with pytest.raises(ts.InputError, match="memory: taesd needs at least"):
        ae.decode(z.requires_grad_(), memory=least, threads=1, on_tile=lambda *_: done.append(1))
    assert not done


def _fits(ae: ts.AutoEncoder, shape: tuple[int, ...], action: Any, memory: int) -> bool:
    try:
        ae.plan(shape, action=action, memory=memory, threads=1)
    except ts.InputError:
        return False
    return True


def test_a_plan_of_the_way_back_says_so(narrow: Models) -> None:
    ae = narrow("taesd")
    plan = ae.plan((1, 4, 32, 32), action="decode backward", memory="64MiB", threads=2)
    assert str(plan).startswith("decode backward 1 frame of 256x256 pixels with taesd on cpu")
    with pytest.raises(ts.InputError, match=r"decode backward.*found 'back'"):
        ae.plan((1, 4, 32, 32), action="back")  # type: ignore[arg-type]
