"""Canvases: planes that passes are run over, with the surroundings of those that go around.

Where a picture goes around, the layers see a larger plane: on either side lie as many elements from
the opposite one as they read past the border. What they make of the true plane's elements is then
what they would make if each of them went around by itself (every layer of a periodic plane makes a
periodic plane), and no layer ever meets the larger plane's own borders.
"""

from __future__ import annotations

from dataclasses import dataclass

from taesd_stream.models.layers.passes import Pass
from tiling import Grid, Region, Size, View, halo

__all__ = ["Canvas", "canvases"]


@dataclass(frozen=True, slots=True)
class Canvas:
    """A plane as the layers of a pass see it.

    Attributes:
        plane: Its height and width, with what lies around the true plane.
        grid: The tiles of the output, which lie as they do in the output of ``plane``.
        read_before: Rows and columns that lie before the true plane.
        made_before: Rows and columns of the output that lie before the true one's.
    """

    plane: Size
    grid: Grid
    read_before: Size
    made_before: Size

    def true_place(self, region: Region) -> Region:
        """Where a part of the output lies in the true one."""
        return region.shift(-self.made_before.height, -self.made_before.width)


def canvases(
    passes: tuple[Pass, ...],
    plane: Size,
    latents: Size,
    tile: Size,
    view: View,
    *,
    continued: bool = False,
) -> list[Canvas]:
    """One canvas for each pass over an input ``plane``.

    Every pass but the last makes all of its output: the next one opens with a branch that has to
    have seen it.

    Args:
        passes: In the order in which they are run.
        latents: Height and width of the plane in latents; tiles are made of whole ones.
        tile: The largest tile, in latents.
        view: Which part of the last pass's output is wanted, and where planes go around.
        continued: Whether every tile of a row goes on where the one to its left ended.
    """
    made = []
    for each in passes:
        out = each.out_plane(plane)
        read_cell, cell = plane.height // latents.height, out.height // latents.height
        margin = view.margin(_margin(each, read_cell))
        cells = Region.whole(latents)
        if view.crop is not None and each is passes[-1]:
            cells = view.crop.divide(cell)
        made.append(
            Canvas(
                plane=Size(
                    plane.height + 2 * margin.height * read_cell,
                    plane.width + 2 * margin.width * read_cell,
                ),
                grid=Grid.over(
                    cells.shift(margin.height, margin.width), tile, cell, continued=continued
                ),
                read_before=margin.scale(read_cell),
                made_before=margin.scale(cell),
            )
        )
        plane = out
    return made


def _margin(each: Pass, read_cell: int) -> int:
    """Latents that the layers of a pass may read past a border of its output."""
    return -(-halo(tuple(each.body.footprints())) // read_cell)
