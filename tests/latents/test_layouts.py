"""Layouts told by the shape, or stated by the user."""

from __future__ import annotations

import pytest

from taesd_stream.errors import LatentsError
from taesd_stream.latents.layouts import (
    KNOWN_CHANNELS,
    infer_layout,
    parse_layout,
    possible_layouts,
)
from taesd_stream.models import VARIANTS


def test_the_channels_of_every_model_are_known():
    assert {each.latent_channels for each in VARIANTS} == KNOWN_CHANNELS


@pytest.mark.parametrize(
    ("shape", "channels", "layout"),
    [
        ((4, 60, 104), KNOWN_CHANNELS, "C H W"),
        ((81, 4, 60, 104), KNOWN_CHANNELS, "T C H W"),
        ((4, 4, 64, 64), KNOWN_CHANNELS, "T C H W"),
        ((48, 32, 30, 52), KNOWN_CHANNELS, "T C H W"),
        ((16, 4, 30, 52), {16}, "C T H W"),
        ((64, 30, 52), KNOWN_CHANNELS, "C H W"),
        ((3, 64, 30, 52), KNOWN_CHANNELS, "T C H W"),
        ((4, 64, 30, 52), KNOWN_CHANNELS, "C T H W"),
        ((4, 64, 30, 52), {64}, "T C H W"),
        ((1, 4, 64, 30, 52), KNOWN_CHANNELS, "N C T H W"),
        ((1, 31, 64, 96, 16), KNOWN_CHANNELS, "N T H W C"),
        ((16, 5, 30, 52), KNOWN_CHANNELS, "C T H W"),
        ((1, 16, 21, 60, 104), KNOWN_CHANNELS, "N C T H W"),
        ((2, 21, 16, 60, 104), KNOWN_CHANNELS, "N T C H W"),
        ((1, 4, 16, 60, 64), {4}, "N C T H W"),
        ((1, 4, 16, 60, 64), {16}, "N T C H W"),
    ],
)
def test_the_channel_count_tells_the_layout(shape, channels, layout):
    assert infer_layout(shape, channels) == layout


@pytest.mark.parametrize("shape", [(1, 16, 16, 40, 64), (1, 4, 16, 60, 64)])
def test_five_axes_that_can_be_read_both_ways_are_asked_about(shape):
    with pytest.raises(LatentsError) as caught:
        infer_layout(shape, KNOWN_CHANNELS)
    message = str(caught.value)
    assert "N C T H W" in message
    assert "N T C H W" in message
    assert "--layout" in message
    assert "\n" not in message


def test_two_channel_counts_can_be_told_apart_by_naming_a_model():
    with pytest.raises(LatentsError, match="4 or 16 channels"):
        infer_layout((1, 4, 16, 60, 64), KNOWN_CHANNELS)
    with pytest.raises(LatentsError) as caught:
        infer_layout((1, 16, 16, 60, 64), {16})
    assert "name a model" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "found"),
    [((81, 3, 60, 104), "4, 12, 16"), ((60, 104), "3 to 5 axes"), ((1,) * 6, "3 to 5 axes")],
)
def test_no_reading_says_what_was_expected(shape, found):
    with pytest.raises(LatentsError, match=found):
        infer_layout(shape, KNOWN_CHANNELS)


@pytest.mark.parametrize("text", ["NCTHW", "ncthw", "N C T H W", " n C t HW "])
def test_a_stated_layout_is_spelt_in_any_way(text):
    assert parse_layout(text, (1, 16, 16, 40, 64)) == "N C T H W"


@pytest.mark.parametrize("text", ["NCTHW", "HWC", "", "TCHWX", "T-C-H-W"])
def test_a_stated_layout_that_does_not_fit_is_refused_with_the_choice(text):
    with pytest.raises(LatentsError, match="TCHW, CTHW, NCHW"):
        parse_layout(text, (5, 4, 8, 8))


def test_every_possible_layout_is_listed_likeliest_first():
    assert possible_layouts((16, 4, 8, 8), {4, 16}) == ("T C H W", "C T H W")
    assert possible_layouts((5, 5, 8, 8), {4}) == ()
