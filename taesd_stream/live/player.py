"""Plays a file of latents: decodes it frame by frame, at its rate, as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Final

from taesd_stream.engine.pixels import to_array
from taesd_stream.errors import InputError
from taesd_stream.live.playing import Playing
from taesd_stream.live.supply import Played
from taesd_stream.sinks.failing import failure_of
from taesd_stream.sinks.frames import Frame
from tiling import TilePlan
from video.background import ReadAhead, Worker

__all__ = ["AHEAD", "Player"]

AHEAD: Final = 2
"""Frames that are decoded before their time."""

_LATE_SECONDS: Final = 0.1
_SECONDS_TO_END: Final = 5.0


class Player:
    """Decodes frames in a thread, and shows each at its time.

    Where decoding is slower than the rate, each is shown as soon as it is there.

    Args:
        played: The latents, and how they are played.
        show: Told each frame, when it was due (seconds of ``time.monotonic``), and its number.

    Attributes:
        can_seek: Whether frames can be shown again.
        failure: Why it stands still, until it is told something; None if nothing failed.
    """

    def __init__(self, played: Played, show: Callable[[Frame, float, int], None]) -> None:
        run = played.run
        self.rate = played.rate
        self.failure: str | None = None
        self._run, self._show = run, show
        self.can_seek = run.frame_count is not None
        self._is_looped = played.is_looped and self.can_seek
        self._playing = Playing(0, run.frame_count)
        self._changed = threading.Condition()
        self._is_closed = False
        self._worker = Worker(self._work, then=lambda: None)

    @property
    def state(self) -> Playing:
        """Where it is."""
        return self._playing

    @property
    def plan(self) -> TilePlan:
        """How they are decoded."""
        return self._run.plan

    def tell(self, action: str, value: object = None) -> Playing:
        """Tell it what to do: see ``Playing.told``; any thread may.

        Raises:
            InputError: It makes no sense, or the source cannot be read again.
        """
        with self._changed:
            told = self._playing.told(action, value)
            if told.turns != self._playing.turns and not self.can_seek:
                raise InputError(
                    f"{action}: expected a source that can be read again, found a stream; save it"
                    " to a file first"
                )
            self._playing, self.failure = told, None
            self._changed.notify_all()
        return told

    def close(self) -> None:
        """Stop; a second call does nothing. A source that brings nothing is not waited for."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._worker.wait(_SECONDS_TO_END)

    def _work(self) -> None:
        while self._wait_to_go_on():
            try:
                self._play_from(self._playing)
            except Exception as error:
                with self._changed:
                    self.failure = failure_of(error)
                    self._playing = self._playing.told("pause")

    def _wait_to_go_on(self) -> bool:
        """Wait until a frame is to be shown; returns False when closed."""
        with self._changed:
            if self._is_looped and self._playing.is_over and not self._playing.is_paused:
                self._playing = self._playing.told("play")
            self._changed.wait_for(lambda: self._is_closed or not self._playing.waits)
            return not self._is_closed

    def _play_from(self, begun: Playing) -> None:
        """Show frames from a place on, until the end or until told to go elsewhere."""
        due: float | None = None
        with closing(ReadAhead(self._decoded(begun.place), most=AHEAD)) as frames:
            for place, pixels in enumerate(frames, begun.place):
                due = self._wait_for_turn(begun.turns, due)
                if due is None:
                    return
                self._show(pixels, time.monotonic(), place)
                with self._changed:
                    if self._playing.turns == begun.turns:
                        self._playing = self._playing.after_frame()
        with self._changed:
            if self._playing.turns == begun.turns and self._playing.frames is None:
                # Now it is known how many there were.
                self._playing = replace(self._playing, frames=self._playing.place)

    def _decoded(self, place: int) -> Iterator[Frame]:
        run = self._run.part(place) if self.can_seek else self._run
        if run is None:
            return
        for image in run.tensors():
            yield to_array(image)

    def _wait_for_turn(self, turns: int, due: float | None) -> float | None:
        """Wait until the next frame is to be shown, which was due at a time.

        Returns:
            When the one after it is due; None if there is something else to do.
        """
        with self._changed:
            while True:
                playing = self._playing
                if self._is_closed or playing.turns != turns:
                    return None
                now = time.monotonic()
                step = 1 / (float(self.rate) * playing.speed)
                if due is None or not now - due < _LATE_SECONDS + step:
                    due = now
                if playing.steps or (not playing.is_paused and due <= now):
                    return max(due, now - step) + step
                self._changed.wait(None if playing.is_paused else due - now)
                if playing.is_paused:
                    due = None
