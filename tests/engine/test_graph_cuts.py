"""What a graph whose convolutions all pad computes, against figures found by hand."""

from __future__ import annotations

import pytest

from taesd_stream.engine.backends import graph_cuts
from taesd_stream.engine.backends.graph_cuts import Cuts, PaddedChain
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.upsampling import Upsample
from tiling import Interval, Region


def test_tiles_are_cut_where_planes_grow_and_large_ones_are_made_in_sections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = Chain([Conv(1, 2), Upsample(2), Conv(2, 2), Conv(2, 1)])
    # Elements 16 to 23 of the last convolution need 15 to 24 of the one before it, that 14 to 25 of
    # what is enlarged, which needs 7 to 12 of the first, and that 6 to 13 of the plane.
    span = body.span(Interval(16, 24), 20)
    assert list(PaddedChain(body).extents(span)) == [8, 12, 12]
    whole = Cuts.of(body, span, span)
    assert whole.read == Region(Interval(6, 14), Interval(6, 14))
    (section,) = whole.sections
    assert section.made == Region(Interval(14, 26), Interval(14, 26))
    assert whole.bounds_of(1) == [1, 1, 7, 7]
    assert PaddedChain(body).peak(span, span, 1) == body.peak(span, span, 1)

    monkeypatch.setattr(graph_cuts, "_MOST_IN_ONE", 7)
    # Elements 16 to 18, 19 to 21, and 22 and 23: of 7 to 10, 8 to 11, and 10 to 12.
    assert list(PaddedChain(body).extents(span)) == [8, 8 + 8 + 6, 8 + 8 + 6]
    cuts = Cuts.of(body, span, span)
    corners = [each.bounds for each in cuts.sections]
    assert corners[:3] == [(1, 1, 5, 5), (1, 2, 5, 6), (1, 4, 5, 7)]
    assert corners[8] == (4, 4, 7, 7)
    assert [each.want.y for each in cuts.sections[::3]] == [
        Interval(16, 19),
        Interval(19, 22),
        Interval(22, 24),
    ]
    first, cut, sums, sections = 8 * 8 * (1 + 2), 2 * 4 * 4 * 2, 8 * 8 * 2, 2 * 8 * 8
    assert PaddedChain(body).peak(span, span, 1) == first + cut + sums + sections


def test_of_more_sections_than_a_tile_has_the_first_are_empty() -> None:
    body = Chain([Conv(1, 1), Upsample(2), Conv(1, 1)])
    span = body.span(Interval(0, 8), 4)
    assert Cuts.of(body, span, span).bounds_of(3) == [0] * 8 + [0, 0, 4, 4]
