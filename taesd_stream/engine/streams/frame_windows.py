"""Windows: the frames that are wanted of a video, and the latents they need."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import Tensor

from taesd_stream.engine.planning.strategies import Workload
from taesd_stream.errors import InputError
from taesd_stream.latents import LatentSource
from taesd_stream.models.network import Network
from taesd_stream.models.spec import ModelSpec
from tiling import Interval
from video.background import ReadAhead

__all__ = [
    "Window",
    "as_slice",
    "check_enough",
    "chosen_frames",
    "count_of",
    "frame_numbers",
    "window_of",
    "windows_of",
]

_READ_AHEAD = 4
"""Latents of a file that wait to be decoded; each is a few percent of its frame's bytes."""


@dataclass(frozen=True, slots=True)
class Window:
    """The frames that are wanted of a video, and the latents to decode for them.

    Attributes:
        frames: Their numbers; without end where nobody knows how many there are.
        latents: The numbers of the latents, in the order in which to decode them; the same.
        total: How many latents the whole video has; None if nobody knows.
        offset: Latents that come before this video's first one in the same source.
    """

    frames: range
    latents: range
    total: int | None
    offset: int = 0

    @classmethod
    def whole(cls, total: int | None, frames: int | None) -> Window:
        """All of a video."""
        return cls(_up_to(frames), _up_to(total), total)

    @property
    def frame_count(self) -> int | None:
        """The number of frames that are wanted; None if nobody knows."""
        return None if self.frames.stop >= sys.maxsize else len(self.frames)

    def workload(self, ahead: int) -> Workload:
        """The workload if up to ``ahead`` of its latents may be read before a frame goes out."""
        steps = None if self.latents.stop >= sys.maxsize else len(self.latents)
        return Workload(steps=steps, pictures=self.frame_count, ahead=ahead)

    def select(self, latents: Iterable[Tensor]) -> Iterator[Tensor]:
        """Its latents out of all of them, read in order and no further than needed."""
        if count_of(latents) is not None and isinstance(latents, LatentSource | Tensor | Sequence):
            return (latents[self.offset + number] for number in self.latents)
        return itertools.islice(latents, self.latents.start, self.latents.stop, self.latents.step)

    @contextmanager
    def read(self, latents: Iterable[Tensor], ahead: int) -> Iterator[Iterator[Tensor]]:
        """``select``, in a thread of its own where up to ``ahead`` latents of a file may be read.

        An iterator is the caller's own work, which stays in the caller's thread.
        """
        selected = self.select(latents)
        if ahead == 1 or not isinstance(latents, LatentSource) or latents.frames is None:
            yield selected
            return
        with ReadAhead(selected, most=min(ahead - 1, _READ_AHEAD)) as read_ahead:
            yield read_ahead


def count_of(latents: Iterable[Tensor]) -> int | None:
    """Count the latents, if that can be done without reading them; else None."""
    if isinstance(latents, LatentSource):
        return latents.frames
    if isinstance(latents, Tensor):
        return latents.shape[0] if latents.dim() else None
    return len(latents) if isinstance(latents, Sequence) else None


def clips_of(latents: Iterable[Tensor]) -> int:
    """Count the videos, which come one after the other."""
    return latents.clips if isinstance(latents, LatentSource) else 1


def frame_numbers(spec: ModelSpec, latents: Iterable[Tensor], frames: slice | None) -> range:
    """The numbers of the frames ``frames`` of one video, or of several one after the other.

    Raises:
        InputError: There are none of these frames.
    """
    total, clips = count_of(latents), clips_of(latents)
    made = None if total is None else clips * spec.timing.frames(total // clips)
    return chosen_frames(made, frames)


def windows_of(
    network: Network,
    spec: ModelSpec,
    latents: Iterable[Tensor],
    frames: slice | None,
    chunk: int | None = None,
) -> list[Window]:
    """The windows of the frames ``frames`` of one video, or of several one after the other.

    Args:
        chunk: Frames that are made together; None where each is made alone.

    Raises:
        InputError: There are too few latents, or none of these frames.
    """
    total, clips = count_of(latents), clips_of(latents)
    if clips == 1 or total is None or not network.sees_other_steps:
        return [window_of(network, spec, total, frames, chunk)]
    length = total // clips
    check_enough(spec, length)
    each = spec.timing.frames(length)
    chosen = chosen_frames(clips * each, frames)
    found = []
    for clip in range(clips):
        wanted = [frame - clip * each for frame in chosen if frame // each == clip]
        if wanted:
            there = slice(wanted[0], wanted[-1] + 1, chosen.step)
            window = window_of(network, spec, length, there, chunk)
            found.append(replace(window, offset=clip * length))
    return found


def window_of(
    network: Network,
    spec: ModelSpec,
    total: int | None,
    frames: slice | None,
    chunk: int | None = None,
) -> Window:
    """The window of the frames ``frames`` of a video of ``total`` latents.

    It begins as far back as the decoder remembers, or with the chunk of the first of them, and ends
    with that of the last: what is decoded is what it is in a decode of the whole video.

    Args:
        chunk: Frames that are made together; None where each is made alone.

    Raises:
        InputError: There are too few latents, or none of these frames.
    """
    timing = spec.timing
    if total == 0:
        return Window.whole(0, 0)
    check_enough(spec, total)
    chosen = chosen_frames(None if total is None else timing.frames(total), frames)
    if not network.sees_other_steps:
        return Window(chosen, chosen, total)
    if chosen.step < 0:
        raise InputError(
            f"frames: expected numbers that rise, since each frame builds on those before it; found"
            f" {_in_words(frames or slice(None))}"
        )
    if chunk is not None:
        return Window(chosen, _chunks_of(chosen, chunk, total), total)
    if frames is None or (timing.needs_total and total is None):
        usable = sys.maxsize if total is None else timing.usable(total)
        return Window(chosen, range(usable), total)
    raw_first, raw_last = timing.raw(chosen.start, total), timing.raw(chosen[-1], total)
    first = max(0, network.reads_steps(Interval(raw_first, raw_first + 1)).start)
    needed = raw_last // timing.growth + 1
    # While nobody knows how many latents come, it may take more of them to know which make frames.
    stop = next(count for count in itertools.count(needed) if timing.ready(count, total) >= needed)
    return Window(chosen, range(first, stop), total)


def _chunks_of(frames: range, chunk: int, total: int | None) -> range:
    """The latents of all chunks that some of these frames, or frames between them, are of."""
    stop = sys.maxsize if frames.stop >= sys.maxsize else (frames[-1] // chunk + 1) * chunk
    return range(frames[0] // chunk * chunk, min(stop, sys.maxsize if total is None else total))


def check_enough(spec: ModelSpec, total: int | None) -> None:
    """Refuse fewer latents than a model can make a frame of.

    Raises:
        InputError: That.
    """
    least = spec.timing.least
    if total is not None and total < least:
        raise InputError(
            f"latents: expected at least {least}, found {total}: {spec.name} makes its first"
            f" {spec.timing.frames(least)} frames of {least} latents together"
        )


def _up_to(count: int | None) -> range:
    return range(sys.maxsize if count is None else count)


def chosen_frames(total: int | None, frames: slice | None) -> range:
    """The numbers of the frames that are wanted out of ``total``.

    Where ``total`` is None, nobody knows how many there are: the range ends where ``frames`` does,
    or never.

    Raises:
        InputError: There is none of these, or of an unknown number they are counted from the end.

    >>> chosen_frames(81, slice(78, None))
    range(78, 81)
    """
    wanted = slice(None) if frames is None else frames
    if not isinstance(wanted, slice):
        raise InputError(f"frames: expected a slice such as slice(10, 20), found {frames!r}")
    chosen = range(sys.maxsize if total is None else total)[wanted]
    from_end = min(wanted.start or 0, wanted.stop or 0) < 0 or chosen.step < 0
    if total is None and from_end:
        raise InputError(
            f"frames: expected numbers from 0 up where the number of frames is unknown, found"
            f" {_in_words(wanted)}"
        )
    if not chosen:
        of = "frames, the first being 0" if total is None else f"the {total} frames, from 0 up"
        raise InputError(f"frames: expected some of {of}, found none in {_in_words(wanted)}")
    return chosen


def as_slice(frames: range) -> slice:
    """The slice that chooses frames of these numbers.

    >>> list(range(9))[as_slice(range(4, -1, -2))]
    [4, 2, 0]
    """
    return slice(frames.start, None if frames.stop < 0 else frames.stop, frames.step)


def _in_words(wanted: slice) -> str:
    parts = [wanted.start, wanted.stop] + [wanted.step] * (wanted.step is not None)
    return ":".join("" if part is None else str(part) for part in parts)
