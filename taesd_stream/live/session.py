"""What a page shows, and what it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from taesd_stream.live.broadcast import Broadcast
from taesd_stream.live.intake import Intake
from taesd_stream.live.memory_log import MemoryLog
from taesd_stream.live.player import Player
from taesd_stream.live.published import Published
from taesd_stream.live.status import PlayerStatus, RecordingStatus, State, Status, ViewerStatus
from tiling import TilePlan

__all__ = ["Session"]


@dataclass(slots=True)
class Session:
    """What a page shows.

    Attributes:
        title: In words.
        model: The name of the model; None where frames come from elsewhere.
        broadcast: The frames, for all who watch.
        memory: In use over time.
        published: Targets beside the page.
        player: Plays a file; None where there is none.
        intake: Takes latents; None where none are taken.
    """

    title: str
    model: str | None
    broadcast: Broadcast
    memory: MemoryLog
    published: Published
    player: Player | None = None
    intake: Intake | None = None

    @property
    def status(self) -> Status:
        """Its state."""
        broadcast, intake = self.broadcast, self.intake
        newest, pushed = broadcast.newest.item, None if intake is None else intake.counts
        latency = broadcast.figures.latency_seconds
        fps, plan = broadcast.figures.frames_per_second, self._plan
        return Status(
            title=self.title,
            model=self.model,
            plan=None if plan is None else str(plan),
            state=self._state(fps),
            failure=self._failure,
            width=None if newest is None else newest.size.width,
            height=None if newest is None else newest.size.height,
            shown=broadcast.newest.count,
            fps=round(fps, 2),
            latency_ms=None if latency is None else round(1000 * latency, 1),
            pushed=0 if pushed is None else pushed.pushed,
            dropped=0 if pushed is None else pushed.dropped,
            takes_latents=intake is not None,
            has_video=broadcast.feed.failure is None,
            player=self._player,
            recording=self._recording,
            published=self.published.counts,
            memory=self.memory.latest,
            viewers=tuple(
                ViewerStatus(each.kind, each.sent, each.dropped)
                for each in broadcast.viewers.present
            ),
        )

    @property
    def _plan(self) -> TilePlan | None:
        if self.player is not None:
            return self.player.plan
        return None if self.intake is None else self.intake.plan

    @property
    def _failure(self) -> str | None:
        if self.player is not None and self.player.failure is not None:
            return self.player.failure
        return None if self.intake is None else self.intake.failure

    def _state(self, fps: float) -> State:
        if self._failure is not None:
            return "failed"
        if self.player is not None and self.player.state.is_paused:
            return "paused"
        if self.player is not None and self.player.state.is_over:
            return "ended"
        return "playing" if fps else "waiting"

    @property
    def _player(self) -> PlayerStatus | None:
        player = self.player
        if player is None:
            return None
        newest, state = self.broadcast.newest.item, player.state
        return PlayerStatus(
            place=None if newest is None else newest.place,
            frames=state.frames,
            rate=float(player.rate),
            speed=state.speed,
            is_paused=state.is_paused,
            can_seek=player.can_seek,
        )

    @property
    def _recording(self) -> RecordingStatus:
        recorder = self.broadcast.recorder
        current = recorder.current
        if current is None:
            return RecordingStatus(None, 0.0, 0, recorder.names, recorder.failure)
        counts = current.feed.counts
        seconds = monotonic() - current.begun_at
        return RecordingStatus(
            current.name, round(seconds, 1), counts.written, recorder.names, counts.failure
        )
