"""Tiles computed side by side: the same to the bit, in order, and the caller notices nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import taesd_stream as ts
from taesd_stream.engine import cores
from taesd_stream.engine.cores import keeping_to, shares_of_cores
from taesd_stream.engine.running.side_by_side import Stretch, as_they_come, in_order

Models = Callable[..., ts.AutoEncoder]


@pytest.fixture(scope="session")
def model(narrow: Models) -> Models:
    """Narrow ones: nothing here depends on how wide layers are."""
    return narrow


def counting(stretches: list[list[int]]) -> list[Stretch[int]]:
    return [Stretch(items, iter) for items in stretches]


@given(
    st.lists(st.lists(st.integers(), max_size=5), min_size=1, max_size=12),
    st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_pieces_come_in_order_whoever_makes_them(stretches: list[list[int]], threads: int) -> None:
    flat = [item for items in stretches for item in items]
    assert list(in_order(counting(stretches), threads)) == flat
    assert sorted(as_they_come(counting(stretches), threads)) == sorted(flat)


def test_a_thread_without_work_takes_half_of_what_another_one_has_left() -> None:
    here: set[int] = set()
    both = threading.Barrier(2, timeout=20)

    def work(items: Iterator[int]) -> Iterator[int]:
        for item in items:
            if item in (0, 2):  # the first piece, and the first of the half that is taken over
                both.wait()
            here.add(threading.get_ident())
            yield item

    assert list(in_order([Stretch(range(4), work)], threads=2)) == [0, 1, 2, 3]
    assert len(here) == 2


def test_what_a_stretch_raises_comes_after_all_before_it() -> None:
    def failing(items: Iterator[int]) -> Iterator[int]:
        yield next(items)
        raise ValueError("7 is too much")

    pieces = in_order([Stretch([1, 2], iter), Stretch([7, 8], failing), Stretch([9], iter)], 2)
    assert list(islice(pieces, 3)) == [1, 2, 7]
    with pytest.raises(ValueError, match="7 is too much"):
        next(pieces)


def test_threads_end_with_what_takes_the_pieces() -> None:
    before = threading.active_count()
    pieces = in_order([Stretch(range(100), iter) for _ in range(20)], threads=3)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_python_ends_well_where_frames_are_left_that_nobody_took() -> None:
    script = """
import taesd_stream as ts
from taesd_stream.samples import sample_path
ae = ts.load("nano", device="cpu", backend="torch")
frames = iter(ae.open_video(ts.open_latents(sample_path()), ahead=8, tile=8))
next(frames)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_other_threads_keep_their_number_of_cores() -> None:
    mine, inside, elsewhere = torch.get_num_threads(), [], []

    def keep_to_one() -> None:
        with keeping_to(1):
            inside.append(torch.get_num_threads())
            other = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
            other.start()
            other.join()

    worker = threading.Thread(target=keep_to_one)
    worker.start()
    worker.join()
    assert (inside, elsewhere, torch.get_num_threads()) == ([1], [mine], mine)


def pictures(model: ts.AutoEncoder, threads: int, **options: object) -> Tensor:
    latents = torch.randn(2, 4, 40, 23, generator=torch.Generator().manual_seed(3))
    return model.decode(latents, threads=threads, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"tile": (8, 7)}, {"tile": (40, 4)}, {"wrap": "xy"}])
def test_pictures_are_the_same_to_the_bit(model: Models, options: dict[str, object]) -> None:
    nano = model("nano")
    alone = pictures(nano, 1, **options)
    for threads in (2, 3):
        assert torch.equal(pictures(nano, threads, **options), alone)
    images = alone.clamp(0, 1)
    latents = nano.encode(images, threads=1, tile=9)
    assert torch.equal(nano.encode(images, threads=3, tile=9), latents)


def test_in_16_bits_luck_decides_nothing(model: Models) -> None:
    latents = torch.randn(1, 4, 24, 20, generator=torch.Generator().manual_seed(6))
    nano = model("nano", "bfloat16")
    first, *others = (nano.decode(latents, tile=(8, 4), threads=2) for _ in range(4))
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("tile", [5, None])
def test_videos_are_the_same_to_the_bit(tile: int | None, model: Models) -> None:
    a_video_model = model("taesdv")
    latents = torch.randn(1, 3, 4, 9, 8, generator=torch.Generator().manual_seed(4))
    alone = a_video_model.decode(latents, tile=tile, threads=1)
    assert torch.equal(a_video_model.decode(latents, tile=tile, threads=3), alone)
    frames = list(a_video_model.stream(latents[0], tile=tile, threads=1))
    streamed = list(a_video_model.stream(latents[0], tile=tile, threads=3))
    assert all((one == other).all() for one, other in zip(frames, streamed, strict=True))


def test_the_plan_counts_every_thread_and_takes_fewer_where_memory_is_small(
    model: Models,
) -> None:
    nano = model("nano")
    shape = (1, 4, 256, 256)
    one, two = (nano.plan(shape, tile=(32, 32), threads=threads) for threads in (1, 2))
    assert (one.threads, two.threads) == (1, 2)
    assert two.peak_bytes > 1.5 * one.peak_bytes
    between = nano.plan(shape, tile=(32, 32), threads=2, memory=two.peak_bytes - 1)
    assert between.threads == 1
    assert "2 side by side" in str(two)


def test_no_more_threads_are_planned_than_a_run_has_work_for(model: Models) -> None:
    nano, latents = model("nano"), torch.zeros(8, 4, 40, 56)
    streamed = nano.open_video(latents, ahead=8, threads=2).plan  # its frames come one by one
    assert streamed.threads <= streamed.tiles
    together = nano.plan(tuple(latents.shape), threads=2)
    assert (together.threads, together.tiles) == (2, 1)


def test_the_cores_are_shared_out() -> None:
    assert [(each.threads, each.inside) for each in shares_of_cores(6)] == [(6, 1), (3, 2), (1, 6)]
    with pytest.raises(ts.InputError, match="threads: expected a number from 1 up"):
        shares_of_cores(0)


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_a_containers_quota_counts(
    tmp_path: Path, files: dict[str, str], quota: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = cores._quota(tmp_path)
    assert found == quota if quota is not None else found > 1000
