"""Tensors on their way to the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from taesd_stream.engine.device_copies import OwnStream, Transfer, brought_home
from tiling import Block, Interval, Region, Size

WITHOUT_GPU: Mapping[str, Any] = {
    "condition": not torch.cuda.is_available(),
    "reason": "needs a CUDA GPU",
}


def test_what_is_on_the_host_is_not_copied() -> None:
    tensors = [torch.zeros(2, 3, dtype=torch.uint8), torch.ones(4, dtype=torch.uint8)]
    arrays = Transfer(tensors).arrays()
    tensors[0][0, 0] = 7
    assert arrays[0][0, 0] == 7
    assert arrays[1].tolist() == [1] * 4


@pytest.mark.skipif(**WITHOUT_GPU)
def test_what_is_on_a_gpu_arrives_whole_while_the_gpu_goes_on() -> None:
    image = torch.randint(0, 256, (512, 512, 3), dtype=torch.uint8, device="cuda")
    expected = image.cpu().numpy()
    transfer = Transfer([image])
    image.zero_()  # after the copy, in the order of the stream
    assert np.array_equal(transfer.arrays()[0], expected)


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(**WITHOUT_GPU))]
)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_tiles_come_home_in_their_order(device: str, count: int) -> None:
    region = Region.whole(Size(4, 4))
    blocks = [Block(Interval(number, number + 1), region) for number in range(count)]
    tiles = (torch.full((1, 3, 4, 4), number, device=device) for number in range(count))
    made = list(brought_home(zip(blocks, tiles, strict=True)))
    assert [block for block, _ in made] == blocks
    for number, (_, tile) in enumerate(made):
        assert tile.is_contiguous()
        assert tile.device.type == "cpu"
        assert (tile == number).all()


@pytest.mark.skipif(**WITHOUT_GPU)
def test_frames_are_brought_away_on_a_stream_of_their_own() -> None:
    stream, device = OwnStream(torch.device("cuda")), torch.device("cuda")
    transfers = []
    for number in range(20):
        image = torch.zeros(2048, 2048, dtype=torch.uint8, device=device)
        for _ in range(number):  # the later, the longer it takes
            image += 1
        with stream.after(image):
            transfers.append(Transfer([image]))
            assert torch.cuda.current_stream() != torch.cuda.default_stream()
        del image  # its memory is the next one's, when it has been copied
    for number, transfer in enumerate(transfers):
        assert (transfer.arrays()[0] == number).all()
