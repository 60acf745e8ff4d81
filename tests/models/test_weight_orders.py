"""Weights lie in the order that a size's kernel reads them in, once that size has come twice."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from taesd_stream.engine.cores import keeping_to
from taesd_stream.models.layers import weight_orders
from taesd_stream.models.layers.fixed_conv import fixed_convolution
from taesd_stream.models.layers.weight_orders import WeightOrders

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() == "AVX512",
    reason="needs oneDNN, on a processor whose sizes want different orders",
)

WEIGHT = torch.randn(64, 64, 3, 3, generator=torch.Generator().manual_seed(0))


def plane(height: int, width: int) -> Tensor:
    made = torch.randn(1, 64, height, width, generator=torch.Generator().manual_seed(1))
    return made.contiguous(memory_format=torch.channels_last)


@pytest.fixture
def _pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_orders, "_ordering_pays", lambda: True)


@pytest.mark.usefixtures("_pays")
@pytest.mark.parametrize("width", [3, 4, 8, 18])
def test_a_size_that_comes_again_is_computed_the_same_to_the_bit(width: int) -> None:
    tensor, added = plane(6, width), plane(4, width - 2)
    for beside in (None, added):
        convolution = fixed_convolution(WEIGHT, torch.ones(64))
        made = [convolution(tensor, (0, 0), beside, 0.0) for _ in range(3)]
        assert torch.equal(made[0], made[1])
        assert torch.equal(made[0], made[2])


@pytest.mark.usefixtures("_pays")
def test_sizes_that_want_one_order_share_it() -> None:
    orders = WeightOrders(WEIGHT, stride=1)
    low, high, large = plane(5, 6), plane(9, 6), plane(64, 64)
    with keeping_to(1):
        firsts = [orders.at(each, (1, 1)) for each in (low, high, large)]
        seconds = [orders.at(each, (1, 1)) for each in (low, high, large)]
        assert all(each is orders.usual for each in (*firsts, seconds[2]))
        assert seconds[0] is seconds[1]
        assert seconds[0].is_mkldnn
        assert torch.equal(seconds[0].to_dense(), WEIGHT)
    with keeping_to(2):
        assert orders.at(low, (1, 1)) is orders.usual  # other kernels, and none has come twice
