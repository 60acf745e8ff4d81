"""The memory of passes that are gone back through, as it is counted for a plan."""

from __future__ import annotations

from collections.abc import Iterator

from taesd_stream.engine.cores import Cores
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.span import Span
from taesd_stream.models.network import Network
from tiling import Size

__all__ = ["RecordedChain", "planes_kept", "sharing"]

# Going back, a layer has the gradients of what it made and of what it read, and a block the one
# that went around it, where going there it has what it read and made.
_BACK = 1.3
# Going back, cores that share a tile wait for each other at the end of each kernel, as PyTorch has
# it. TAESD at 128x128 latents in tiles of 32, on two cores with AVX-512: 8.9 to 10.9 s, where each
# had a tile of its own 7.7 s.
_SHARED = 1.25


class RecordedChain:
    """A chain whose ReLUs keep the signs of what they make.

    Args:
        body: The layers.
        itemsize: Bytes of an element.
    """

    def __init__(self, body: Chain, itemsize: int) -> None:
        self._body, self._itemsize = body, itemsize

    def extents(self, span: Span, /) -> Iterator[int]:
        """Output elements along one axis of each part that multiplies."""
        return self._body.extents(span)

    def peak(self, rows: Span, columns: Span, channels: int, /) -> int:
        """The most elements held at once for one input step, a byte for each sign included."""
        live = self._body.peak(rows, columns, channels)
        signs = self._body.signs(rows, columns, channels)
        return int(live * _BACK) + -(-signs // self._itemsize)


def sharing(cores: Cores) -> float:
    """The time that it takes where cores share a tile, over what it would if none waited."""
    return _SHARED if cores.inside > 1 else 1.0


def planes_kept(network: Network, plane: Size, *, through_scratch: bool) -> int:
    """Elements of what passes leave for each other when they are gone back through.

    All of it is kept until its turn comes, beside the gradients of one plane and the next.
    """
    if through_scratch:
        return 0
    planes = []
    for each in network.passes[:-1]:
        plane = each.out_plane(plane)
        planes.append(plane.area * each.out_channels)
    return sum(planes) + 2 * max(planes, default=0)
