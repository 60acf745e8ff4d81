"""The state of a page, for its viewers, for programs, and for Prometheus."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from taesd_stream.live.memory_log import MemorySample
from taesd_stream.sinks.counts import TargetCounts

__all__ = ["PlayerStatus", "RecordingStatus", "State", "Status", "ViewerStatus"]

State: TypeAlias = Literal["waiting", "playing", "paused", "ended", "failed"]
"""Nothing was shown yet, or frames come, are held back, came to their end, or cannot be made."""


@dataclass(frozen=True, slots=True)
class PlayerStatus:
    """Where the player of a file is.

    Attributes:
        place: The number of the frame that is shown, from 0; None before the first.
        frames: How many there are; None if nobody knows.
        rate: Frames per second at usual speed.
        speed: In times of the usual one.
        is_paused: Whether it stands still.
        can_seek: Whether it can go elsewhere.
    """

    place: int | None
    frames: int | None
    rate: float
    speed: float
    is_paused: bool
    can_seek: bool


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """What is recorded.

    Attributes:
        name: Of the file that is written; None if none is.
        seconds: Since it was begun.
        frames: That it holds.
        finished: Names of files that can be downloaded.
        failure: Why the latest recording failed; None if it did not.
    """

    name: str | None
    seconds: float
    frames: int
    finished: tuple[str, ...]
    failure: str | None


@dataclass(frozen=True, slots=True)
class ViewerStatus:
    """One who watches: by which way, and frames that were sent and dropped."""

    kind: str
    sent: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a page.

    Attributes:
        title: What is shown, in words.
        model: The name of the model; None where frames come from elsewhere.
        plan: How it is decoded, in words; None where nobody knows.
        state: See ``State``.
        failure: Why it is "failed", or why something else does not work; None if all is well.
        width, height: Pixels of the frames; None before the first.
        shown: Frames that were shown so far.
        fps: Frames per second, lately.
        latency_ms: Milliseconds from a latent's coming until its frame was handed to the viewers,
            the median of late; None where none came.
        pushed, dropped: Latents that other programs pushed, and those of them that were not
            decoded.
        takes_latents: Whether they may push.
        has_video: Whether there is H.264 for browsers.
        player: Of a file; None where there is none.
        recording: What is recorded.
        published: What became of the frames for each target beside the page.
        memory: In use now.
        viewers: Those who watch.
    """

    title: str
    model: str | None
    plan: str | None
    state: State
    failure: str | None
    width: int | None
    height: int | None
    shown: int
    fps: float
    latency_ms: float | None
    pushed: int
    dropped: int
    takes_latents: bool
    has_video: bool
    player: PlayerStatus | None
    recording: RecordingStatus
    published: tuple[TargetCounts, ...]
    memory: MemorySample
    viewers: tuple[ViewerStatus, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return asdict(self)
