"""The options of a video that is written, checked once and carried from then on."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from os import PathLike

from video.errors import InputError

__all__ = ["VideoOptions"]


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """Options of a video that is written.

    Attributes:
        rate: frames per second.
        codec: a name out of ``CODECS``, or ``h264_hw`` and the like; None is the suffix's default.
        crf: 0 is best; None is the codec's default.
        lossless: every RGB byte is kept.
        audio: a file whose first audio stream goes along, cut at the end of the video.
        overwrite: whether a file of that name may be replaced.
        threads: for the encoder; None is as many as it likes.
        audio_start: the seconds of sound to leave out, before that of the first frame.
        alpha: frames are (H, W, 4), and their transparency is kept.
        metadata: names and texts that the file keeps, which change no frame.

    Raises:
        InputError: for a number of threads, or of seconds, that makes no sense.

    >>> VideoOptions(Fraction(24000, 1001), crf=20).rate
    Fraction(24000, 1001)
    """

    rate: Fraction
    codec: str | None = None
    crf: int | None = None
    lossless: bool = False
    audio: str | PathLike[str] | None = None
    overwrite: bool = False
    threads: int | None = None
    audio_start: Fraction = Fraction(0)
    alpha: bool = False
    metadata: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise InputError(f"expected at least 1 thread; found {self.threads!r}")
        if self.audio_start < 0:
            raise InputError(f"expected sound from 0 s on; found {self.audio_start} s")
