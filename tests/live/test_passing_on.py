"""Frames that a page passes on: as HLS to who asks, and to targets beside it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

import taesd_stream as ts
from tests.live.asking import ask, until
from video import open_reader

# Without these a player waits for the segments of 20 seconds before it looks at the first.
_AT_ONCE = {"live_start_index": "0", "analyzeduration": "1", "fpsprobesize": "0"}
_RED, _GREEN = (200, 40, 40), (40, 180, 60)


def _flat(colour: tuple[int, int, int], side: int = 64) -> np.ndarray:
    return np.full((side, side, 3), colour, np.uint8)


def _played(page: ts.LivePage) -> np.ndarray:
    """The first frame that a player gets of the playlist."""
    with av.open(page.url_of("hls/live.m3u8"), options=_AT_ONCE) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_hls_begins_with_what_is_shown_and_anew_with_another_size() -> None:
    with ts.LivePage(port=0) as page:
        assert ask(page.port, "/hls/live.m3u8").status == 503  # nothing is shown yet
        for colour, side in ((_RED, 64), (_GREEN, 96)):
            page.write(_flat(colour, side))
            until(lambda side=side: page.status.height == side)
            found = _played(page)
            assert found.shape == (side, side, 3)
            assert np.abs(found[8, 8].astype(int) - colour).max() <= 4


def test_hls_has_no_other_files() -> None:
    with ts.LivePage(port=0) as page:
        page.write(_flat(_RED))
        until(lambda: page.status.shown)
        assert ask(page.port, "/hls/live.m3u8").status == 200
        names = ["nothing.ts", "live.mp4", "%2e%2e", "..%5Cpasswd", "C:%5Cwin.ini", "a%2Fb.ts"]
        assert {name: ask(page.port, f"/hls/{name}").status for name in names} == dict.fromkeys(
            names, 404
        )


def test_targets_get_every_frame_of_the_first_size(tmp_path: Path) -> None:
    target = tmp_path / "a.mp4"
    frames: list[np.ndarray] = []
    with ts.LivePage(port=0, publish=[target, frames.append]) as page:
        for colour, side in ((_RED, 64), (_GREEN, 32), (_GREEN, 64)):
            page.write(_flat(colour, side))
        until(lambda: [each.written for each in page.status.published] == [2, 2])
    with open_reader(target) as reader:
        assert [frame.image.shape for frame in reader] == [(64, 64, 3)] * 2
    np.testing.assert_array_equal(frames, [_flat(_RED), _flat(_GREEN)])
    with pytest.raises(ts.OutputExistsError, match="--overwrite"):
        ts.LivePage(port=0, publish=target)
    with ts.LivePage(port=0, publish=target, overwrite=True) as page:
        page.write(_flat(_RED))


def test_a_target_that_fails_is_told_of_and_the_page_goes_on() -> None:
    def fail(frame: np.ndarray) -> None:
        raise RuntimeError("no cable")

    with ts.LivePage(port=0, publish=fail) as page:
        page.write(_flat(_RED))
        until(lambda: page.status.published[0].failure == "RuntimeError: no cable")
        page.write(_flat(_GREEN))
        until(lambda: page.status.shown == 2)
        assert page.status.failure is None
