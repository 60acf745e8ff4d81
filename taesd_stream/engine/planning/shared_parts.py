"""The parts of a picture or a video that are shared out to threads."""

from __future__ import annotations

import torch

from taesd_stream.engine.cores import Cores
from taesd_stream.engine.settings import Settings
from taesd_stream.models.network import Network
from tiling import Grid

__all__ = ["MOST_ABREAST", "shared_parts"]

MOST_ABREAST = 4
"""So many time steps of a video's only tile are under way at once, at most.

Where a layer makes several steps of one, those take what follows in turn, and the next latent's
have to wait for the last of them: of TAEHV's work about a third lies between.
"""

# They follow each other layer by layer, and who has none left helps with the layers of the last: so
# many pieces, about, each of them consists of.
_PIECES_OF_A_STEP = 32


def shared_parts(
    network: Network, settings: Settings, grid: Grid, at_once: int, cores: Cores
) -> tuple[int, int]:
    """The parts that one thread each begins, and the pieces of these that others may take over.

    Args:
        grid: The tiles of a pass.
        at_once: How many pictures, or steps of a video, are at hand.
        cores: How the cores share the work.
    """
    if not network.stateful:
        bands = len(grid.rows) * at_once
        return bands, len(grid) * at_once if settings.dtype == torch.float32 else bands
    if len(grid) > 1:
        return len(grid), len(grid)
    steps = at_once if cores.threads <= MOST_ABREAST else min(at_once, MOST_ABREAST)
    return steps, steps * _PIECES_OF_A_STEP
