"""A video that is made in segments, some of which may be there already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from taesd_stream.engine.streams.video_run import VideoRun
from taesd_stream.errors import InputError
from taesd_stream.jobs.decoding_run import FrameDecoding
from taesd_stream.jobs.output import Output
from taesd_stream.jobs.resume.fingerprint import fingerprint_of, stamp_of_files
from taesd_stream.jobs.resume.finished import number_taken_before
from taesd_stream.jobs.resume.journal import Journal
from tiling import Interval, Size
from video.segments import SegmentedWriter, Segments

__all__ = ["ResumedVideo", "fingerprint_of_video", "segment_frames_of"]

# A segment is lost where a run is cut short: so many pixels of it at most, some minutes on a CPU.
_SEGMENT_PIXELS = 100_000_000
_MOST_SEGMENT_FRAMES = 250
_FEWEST_SEGMENT_FRAMES = 16


@dataclass(frozen=True, slots=True)
class ResumedVideo:
    """A video in segments, and what is left of it to be decoded.

    Attributes:
        journal: Counts the segments that are finished.
        left: Decodes the frames that are left; None if none are.
        total: How many frames are wanted in all.
        segment_frames: Frames in a segment.
    """

    journal: Journal
    left: VideoRun | None
    total: int
    segment_frames: int

    @classmethod
    def of(cls, decoding: FrameDecoding, journal: Journal, each: int) -> ResumedVideo:
        """A video that goes on after the segments, of so many frames, that are finished."""
        run = decoding.run
        return cls(journal, run.part(journal.done * each), len(run.numbers), each)

    def open_sink(self, output: Output, size: Size) -> SegmentedWriter:
        """The sink of the frames that are left.

        Raises:
            InputError: An option does not fit the kind of file.
        """

        def note(frames: int) -> None:
            self.journal.note(-(-frames // self.segment_frames))

        segments = Segments(self.journal.folder, self.segment_frames, self.journal.done, note)
        return SegmentedWriter(
            output.name,
            segments,
            width=size.width,
            height=size.height,
            options=output.video_options,
        )

    @property
    def kept(self) -> str:
        """The frames that are kept, in words."""
        frames = min(self.total, self.journal.done * self.segment_frames)
        return (
            f"{frames} frames are kept in {self.journal.folder}; give the same command once more,"
            " with --resume (resume=True in Python), to go on"
        )


def fingerprint_of_video(decoding: FrameDecoding, segment_frames: int) -> dict[str, str]:
    """All that the bytes of a video in segments of so many frames depend on.

    Raises:
        InputError: Its latents cannot be read again.
    """
    source, run, output = decoding.latents, decoding.run, decoding.output
    if source.frames is None:
        raise InputError(
            "resume: expected latents that can be read again, found an iterator; save them to a"
            " file"
        )
    return fingerprint_of(
        source,
        range(source.frames),
        decoding.ae,
        run.plan,
        frames=run.numbers,
        segments=segment_frames,
        rate=output.rate,
        codec=output.codec,
        crf=output.crf,
        lossless=output.lossless,
        background=output.background,
        audio=None if output.audio is None else stamp_of_files([Path(output.audio)]),
        metadata=", ".join(f"{name}: {text}" for name, text in output.metadata) or None,
    )


def segment_frames_of(
    decoding: FrameDecoding, sized: Callable[[Interval], int] = lambda usual: usual.stop
) -> int:
    """The frames in a segment: as many as a run that is gone on with has taken.

    Args:
        sized: Chooses them, where that is free, by what is usual.
    """
    known = number_taken_before(decoding.output, "segments")
    if known is not None:
        return known
    most = min(_MOST_SEGMENT_FRAMES, _SEGMENT_PIXELS // decoding.run.plan.pixels.area)
    return sized(Interval(_FEWEST_SEGMENT_FRAMES, max(_FEWEST_SEGMENT_FRAMES, most)))
