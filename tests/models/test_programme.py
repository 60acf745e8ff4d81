"""Programmes compute what the layers do one by one, and call few operators."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import taesd_stream as ts
from benchmarks.plain import PlainDecoder
from benchmarks.weights import decoder_weights, latents
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.enlarging import EnlargingConv
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.operators import Add, Convolve, Rectify
from taesd_stream.models.layers.pointwise import ReLU, SoftClamp
from taesd_stream.models.layers.programme import Programme
from taesd_stream.models.layers.residual import Residual
from taesd_stream.models.layers.temporal import MemBlock
from taesd_stream.models.layers.tile_state import TileState
from tiling import Interval


def block() -> Residual:
    return Residual(Chain([Conv(5, 5), ReLU(), Conv(5, 5), ReLU(), Conv(5, 5)]))


def memory(slope: float) -> MemBlock:
    return MemBlock(Chain([Conv(10, 5), ReLU(slope), Conv(5, 5)]), slope=slope)


def made_of(layers: Sequence[Layer]) -> Chain:
    chain = Chain(layers)
    generator = torch.Generator().manual_seed(len(layers))
    for parameter in chain.parameters():
        nn.init.uniform_(parameter, -0.4, 0.4, generator=generator)
    return chain.requires_grad_(False)


CHAINS: Mapping[str, Chain] = {
    "decoder": made_of(
        [SoftClamp(), Conv(3, 5), ReLU(), block(), EnlargingConv(Conv(5, 5)), block(), Conv(5, 3)]
    ),
    "video": made_of([Conv(3, 5), memory(0), memory(0.2), Conv(5, 3)]),
    "enlarging": made_of(
        [Conv(3, 5), EnlargingConv(Conv(5, 5)), ReLU(), EnlargingConv(Conv(5, 3)), ReLU(0.2)]
    ),
    "encoder": made_of([Conv(3, 5, stride=2), block(), Conv(5, 3, stride=2, bias=False)]),
}


def folded(chain: Chain) -> Chain:
    copied = copy.deepcopy(chain)
    for layer in copied.modules():
        if isinstance(layer, Layer):
            layer.fold()
    return copied


@pytest.mark.parametrize("name", CHAINS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_what_libraries_do_at_once_is_what_they_do_one_by_one(
    name: str, data: st.DataObject
) -> None:
    plain, size = CHAINS[name], data.draw(st.integers(4, 14))
    fused, made = folded(plain), plain.out_size(size)
    starts = [data.draw(st.integers(0, made - 1)) for _ in range(2)]
    y, x = (Interval(first, data.draw(st.integers(first + 1, made))) for first in starts)
    rows, columns = plain.span(y, size), plain.span(x, size)
    tile = torch.randn(2, 3, rows.have.size, columns.have.size).contiguous(
        memory_format=torch.channels_last
    )
    expected = plain(tile, rows, columns, TileState())
    found = fused(tile, rows, columns, TileState())
    assert torch.equal(found, expected)


def test_a_block_is_its_convolutions() -> None:
    chain = folded(made_of([block()]))
    span = chain.span(Interval(0, 8), 8)
    operators = Programme(chain.operators(span, span)).operators
    assert not any(isinstance(each, Add | Rectify) for each in operators)
    assert sum(isinstance(each, Convolve) for each in operators) == 3


class Counted(TorchDispatchMode):
    """Counts the operators that PyTorch is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def calls_of(run: Callable[[], Tensor]) -> int:
    run()  # the programme is made
    run()  # weights are put in order for a size that comes again
    with torch.inference_mode(), Counted() as counted:
        run()
    return counted.calls


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")
def test_an_undivided_decode_calls_no_more_operators_than_plain_pytorch() -> None:
    ae = ts.load(decoder_weights(), variant="taesd", device="cpu", backend="torch")
    plain = PlainDecoder(4).requires_grad_(False)
    z = latents(2)
    assert calls_of(lambda: ae.decode(z, tile=None, threads=1)) <= calls_of(lambda: plain(z))


def test_a_copy_of_a_model_decodes_by_itself() -> None:
    ae = ts.load("nano", device="cpu", backend="torch")
    z = torch.randn(1, 4, 3, 4)
    made = ae.decode(z)
    assert torch.equal(copy.deepcopy(ae).decode(z), made)
