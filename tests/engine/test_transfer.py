"""Tensors on their way to the host."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from taesd_stream.jobs.delivery.transfer import OwnStream, Transfer


def test_what_is_on_the_host_is_not_copied() -> None:
    tensors = [torch.zeros(2, 3, dtype=torch.uint8), torch.ones(4, dtype=torch.uint8)]
    arrays = Transfer(tensors).arrays()
    tensors[0][0, 0] = 7
    assert arrays[0][0, 0] == 7
    assert arrays[1].tolist() == [1] * 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_what_is_on_a_gpu_arrives_whole_while_the_gpu_goes_on() -> None:
    image = torch.randint(0, 256, (512, 512, 3), dtype=torch.uint8, device="cuda")
    expected = image.cpu().numpy()
    transfer = Transfer([image])
    image.zero_()  # after the copy, in the order of the stream
    assert np.array_equal(transfer.arrays()[0], expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
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
