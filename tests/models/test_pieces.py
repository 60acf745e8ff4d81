"""What is made in pieces is what is made as a whole, to the bit, in whatever order they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from taesd_stream.models.layers import operators as operators_module
from taesd_stream.models.layers import pieces as pieces_module
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.enlarging import EnlargingConv
from taesd_stream.models.layers.fixed_conv import PlainConv
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.pointwise import ReLU
from taesd_stream.models.layers.programme import Programme
from taesd_stream.models.layers.residual import Residual
from taesd_stream.models.layers.temporal import MemBlock, TimeGrow
from taesd_stream.models.layers.tile_state import TileState
from tiling import Interval

PLANE = 23


class Backwards:
    """Makes the last piece first, and counts them."""

    count = 3

    def __init__(self, *, crowded: bool = True) -> None:
        self.made = 0
        self._crowded = crowded

    def in_a_crowd(self) -> bool:
        return self._crowded

    def make(self, pieces: Sequence[Interval], work: Callable[[Interval], None], /) -> None:
        assert [each.start for each in pieces[1:]] == [each.stop for each in pieces[:-1]]
        for each in reversed(pieces):
            work(each)
        self.made += len(pieces)


@pytest.mark.parametrize(
    ("layers", "makes"),
    [
        ([Conv(4, 6)], 1),
        ([Conv(4, 6, 7), ReLU(0.2)], 1),
        ([Conv(4, 6, stride=2, bias=False)], 1),
        ([Residual(Chain([Conv(4, 4), ReLU(), Conv(4, 4)])), Conv(4, 2, 1)], 3),
        ([EnlargingConv(Conv(4, 6)), ReLU()], 1),
        ([MemBlock(Chain([Conv(8, 4), ReLU(), Conv(4, 4)]))], 3),
        ([TimeGrow(4, 2), Conv(4, 3)], 4),  # a convolution for both, a copy, and two in turn
    ],
    ids=["conv", "wide", "stride", "residual", "enlarging", "memory", "grow"],
)
@pytest.mark.parametrize("where", [(0, PLANE), (5, 16), (0, 11), (12, PLANE)])
def test_pieces_are_the_whole(
    layers: list[Layer], makes: int, where: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces_module, "_LEAST_MULTIPLIED", 1)
    monkeypatch.setattr(pieces_module, "_LEAST_ELEMENTS", 8)
    monkeypatch.setattr(pieces_module, "_LEAST_COPIED", 8)
    generator = torch.Generator().manual_seed(0)
    chain = Chain(layers).requires_grad_(False)
    for parameter in chain.parameters():
        parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.5)
    chain.to(memory_format=torch.channels_last)
    out = chain.out_size(PLANE)
    want = Interval(*(bound * out // PLANE for bound in where))
    span = chain.span(want, PLANE)
    tile = torch.rand(1, 4, span.given.size, span.given.size, generator=generator)
    programme = Programme(chain.operators(span, span))

    def run(state: TileState) -> list[Tensor]:
        steps = [programme(tile.to(memory_format=torch.channels_last) - i, state) for i in (0, 1)]
        return [*steps, *state.kept.values()]

    makers = Backwards()
    in_pieces, whole = run(TileState(makers=makers)), run(TileState())
    assert makers.made >= 2 * 3 * makes
    for piece, part in zip(in_pieces, whole, strict=True):
        assert torch.equal(piece, part)


def test_what_is_small_is_made_as_a_whole() -> None:
    makers = Backwards()
    conv = Conv(4, 4).requires_grad_(False)
    span = conv.span(Interval(0, 8), 8)
    Programme(conv.operators(span, span))(torch.zeros(1, 4, 8, 8), TileState(makers=makers))
    assert makers.made == 0


def test_pieces_are_small_only_in_a_crowd() -> None:
    conv = Conv(4, 96, 7).requires_grad_(False)
    span = conv.span(Interval(0, 96), 96)
    made = []
    for crowded in (False, True):
        makers = Backwards(crowded=crowded)
        tile = torch.zeros(1, 4, 96, 96)
        Programme(conv.operators(span, span))(tile, TileState(makers=makers))
        made.append(makers.made)
    assert made[0] == 2 * 3 < made[1]


def test_what_is_large_is_enlarged_in_pieces_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = EnlargingConv(Conv(4, 6)).requires_grad_(False)
    span = layer.span(Interval(3, 40), 23)
    tile = torch.rand(2, 4, span.have.size, span.have.size).to(memory_format=torch.channels_last)
    programme = Programme(layer.operators(span, span))
    whole, convolutions = programme(tile, TileState()), []

    def counted(convolution: PlainConv, tensor: Tensor, *rest: object) -> Tensor:
        convolutions.append(tensor.shape)
        return convolved(convolution, tensor, *rest)

    convolved = PlainConv.__call__
    monkeypatch.setattr(PlainConv, "__call__", counted)
    monkeypatch.setattr(operators_module, "_SLOW_BYTES", whole.numel() * whole.element_size() // 3)
    assert torch.equal(programme(tile, TileState()), whole)
    assert len(convolutions) == 3
