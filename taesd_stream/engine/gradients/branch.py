"""The gradient that reaches a plane by way of its moments, where a global branch goes by them."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from taesd_stream.engine.gradients.tiles import leaf_of
from taesd_stream.engine.plain_modes import Computing
from taesd_stream.engine.running.planes import Plane, WritablePlane
from taesd_stream.engine.settings import Settings
from taesd_stream.models.layers.convolve import convolve
from taesd_stream.models.layers.global_pool import GlobalPool, NormalisedPool
from taesd_stream.models.layers.moments import Moments
from tiling import Block, Interval, Region, chunks

__all__ = ["Branch"]

_AT_ONCE = 1 << 20  # elements of a band of rows


class Branch:
    """A global branch, from the moments of a plane to the figures that all tiles share, and back.

    Args:
        pool: The branch.
        moments: Of the plane that it is run over.
        settings: Where and how it is computed.

    Attributes:
        normalised: The branch for tiles, with figures of its own that they have gradients of.
    """

    def __init__(self, pool: GlobalPool, moments: Moments, settings: Settings) -> None:
        self._settings = settings
        with Computing(settings, recorded=True):
            taken = copy(moments)
            taken.total, taken.squares = leaf_of(moments.total), leaf_of(moments.squares)
            self._moments = taken.total, taken.squares
            made = pool.normalise(taken)
            self._figures = made.expand, made.offset
            expand, offset = map(leaf_of, self._figures)
            self.normalised = NormalisedPool(expand, offset, made.reduce)
        self._gradients = [torch.zeros_like(figure) for figure in self._figures]

    def add(self, of_figures: tuple[Tensor, ...]) -> None:
        """Take in the gradients that a tile has for the figures."""
        for total, one in zip(self._gradients, of_figures, strict=True):
            total.add_(one)

    def add_to(self, gradient: WritablePlane, plane: Plane) -> None:
        """Add what goes by way of the moments to the gradient of the plane, after all tiles.

        A sum passes its gradient on to every pixel; that of products, G, as (G + G^T) x.
        """
        with Computing(self._settings, recorded=True):
            of_total, of_products = torch.autograd.grad(
                self._figures, self._moments, self._gradients
            )
        dtype = self._settings.tensor_dtype
        mixing = (of_products + of_products.mT).to(dtype)[..., None, None]
        with Computing(self._settings):
            rows_at_once = max(1, _AT_ONCE // (mixing.shape[1] * plane.size.width))
            for frame in range(plane.frames):
                for rows in chunks(plane.size.height, rows_at_once):
                    columns = Interval(0, plane.size.width)
                    band = Block(Interval(frame, frame + 1), Region(rows, columns))
                    pixels = plane.read(band)
                    gradient.add(band, convolve(pixels, mixing[frame], of_total[frame].to(dtype)))
