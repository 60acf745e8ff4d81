"""What is shown to all who watch: each frame goes from here to pictures, video and recordings."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from taesd_stream.live.figures import Figures
from taesd_stream.live.hls import HlsFeed
from taesd_stream.live.newest import Newest
from taesd_stream.live.recorder import Recorder
from taesd_stream.live.shown_frame import ShownFrame
from taesd_stream.live.spreading import Spreading
from taesd_stream.live.stills import Stills
from taesd_stream.live.video_feed import VideoFeed
from taesd_stream.live.viewers import Viewers
from taesd_stream.sinks.frames import frame_array

__all__ = ["MOST_VIEWERS", "Broadcast", "SentFrame"]

MOST_VIEWERS: Final = 32

SentFrame = tuple[int, int | None, int, int, int]
"""A frame's number and place, its RTP time (modulo 2**32), and when it came and was shown, in
milliseconds of the server's clock."""

_RTP_CYCLE: Final = 1 << 32


class Broadcast:
    """The frames, for all who watch.

    Args:
        recordings: The folder for recordings.
        publish: Told each frame in the loop, and not to wait.

    Attributes:
        newest: The newest frame.
        feed: The frames as H.264.
        viewers: Those who watch.
        jpeg, png: The frames as pictures.
        recorder: Records them.
        hls: The frames as HLS.
        figures: Of the frames shown lately.
    """

    def __init__(self, recordings: Path, publish: Callable[[ShownFrame], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.newest = Newest[ShownFrame](self._loop)
        self.feed = VideoFeed(self._loop, self._sent)
        self.viewers = Viewers(MOST_VIEWERS)
        self.jpeg, self.png = Stills(".jpg"), Stills(".png")
        self.recorder = Recorder(recordings)
        self.hls = HlsFeed()
        self.figures = Figures()
        self._publish, self._spreading = publish, Spreading()
        self._turn = threading.Lock()
        self._is_closed = threading.Event()
        self._sent_frames: deque[tuple[int, SentFrame]] = deque(maxlen=64)
        self._sent_count = 0

    def show(self, frame: Any, at: float, place: int | None = None) -> None:
        """Show a frame; any thread but the loop's may, and waits for the frame's turn.

        Args:
            frame: As ``Sink.write`` takes it.
            at: When it came, or its latent: seconds of ``time.monotonic``.
            place: Its number in the file that is played.

        Raises:
            InputError: It is no frame.
        """
        pixels = np.array(frame_array(frame))
        with self._turn:
            now = time.monotonic()
            self._is_closed.wait(max(0.0, self._spreading.shown_at(at, now) - now))
            if self._is_closed.is_set():
                return
            shown = ShownFrame(self.newest.count, place, pixels, at, time.monotonic())
            self.newest.put(shown)
            self._loop.call_soon_threadsafe(self._hand_on, shown)

    def sent_after(self, count: int) -> tuple[int, list[SentFrame]]:
        """The frames that were handed to browsers since ``count`` were, and how many are now."""
        return self._sent_count, [frame for number, frame in self._sent_frames if number >= count]

    def stop(self) -> None:
        """Show no more, and let nobody wait for a frame's turn; any thread may."""
        self._is_closed.set()

    async def close(self) -> None:
        """Finish recordings and end the video; in the loop."""
        self.stop()
        self.recorder.close()
        self.feed.close()
        await self.hls.close()

    def _hand_on(self, frame: ShownFrame) -> None:
        self.figures.saw(frame)
        self.feed.put(frame)
        self.recorder.put(frame)
        self.hls.put(frame)
        self._publish(frame)

    def _sent(self, frame: ShownFrame, pts: int) -> None:
        came, shown = (round(1000 * seconds) for seconds in (frame.at, frame.shown_at))
        sent = (frame.number, frame.place, pts % _RTP_CYCLE, came, shown)
        self._sent_frames.append((self._sent_count, sent))
        self._sent_count += 1
