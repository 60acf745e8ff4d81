"""Targets beside the page that get every frame that it shows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from taesd_stream.live.shown_frame import ShownFrame
from taesd_stream.sinks.counts import TargetCounts
from taesd_stream.sinks.feed import Feed
from taesd_stream.sinks.pacing import Pacing
from taesd_stream.sinks.queueing import Queueing
from taesd_stream.sinks.sink import Target
from taesd_stream.sinks.targets import FileOptions, open_targets
from tiling import Size
from video.closing import Closing

__all__ = ["Published"]


class Published(Closing):
    """Targets that get every frame at the time at which it is shown.

    Args:
        targets: As ``VideoSink`` takes them.
        overwrite: Whether files among them may be replaced.

    Raises:
        InputError: One of them is no target, or nothing can be written there.
        MissingExtraError: A library for one of them is not installed.
    """

    def __init__(self, targets: Target | Sequence[Target], *, overwrite: bool) -> None:
        given = tuple(targets) if isinstance(targets, list | tuple) else (targets,)
        options = FileOptions(overwrite=overwrite)
        opened = open_targets(given, Pacing("live"), options) if given else ()
        self._size: Size | None = None
        self._feeds = tuple(Feed(name, target, Queueing("drop")) for name, target in opened)

    @property
    def counts(self) -> tuple[TargetCounts, ...]:
        """What became of the frames, target by target."""
        return tuple(feed.counts for feed in self._feeds)

    def put(self, frame: ShownFrame) -> None:
        """Hand a frame over, without waiting; one of another size than the first is left out."""
        if self._size is None:
            self._size = frame.size
        if frame.size == self._size:
            for feed in self._feeds:
                feed.put(frame.taken())

    def close(self) -> None:
        """Write what waits, and finish each."""
        feeds, self._feeds = self._feeds, ()
        with ExitStack() as finishing:  # each of them, even where Ctrl-C ends the wait for another
            for feed in feeds:
                finishing.callback(feed.finish, None)
