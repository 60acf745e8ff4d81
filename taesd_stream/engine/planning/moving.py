"""What passes write to scratch files, and read of them."""

from __future__ import annotations

from collections.abc import Mapping

from taesd_stream.engine.settings import Settings
from taesd_stream.models.layers.passes import Pass, PassFigures
from taesd_stream.models.network import Network
from tiling import Moved

__all__ = ["moved_by"]


def moved_by(
    network: Network,
    each: Pass,
    figures: PassFigures,
    sizes: Mapping[int, int],
    settings: Settings,
) -> Moved:
    """What a pass writes and reads of planes that lie in scratch files.

    Args:
        network: Whose pass it is.
        each: The pass.
        figures: What it costs.
        sizes: Elements of the plane that each pass makes, by its number, counted from 1.
        settings: Tell the bytes of an element.
    """
    passes, size = network.passes, settings.tensor_dtype.itemsize
    written = sizes[passes.index(each) + 1] if each.keeps and each is not passes[-1] else 0
    kept = [number for number in each.reads if number > 0 and passes[number - 1].keeps]
    return Moved(written * size, figures.fetched * size if kept else 0)
