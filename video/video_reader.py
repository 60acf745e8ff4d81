"""Frames out of a video file, with their times."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, chain
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.stream import Disposition

from video.animation import open_animation
from video.cut_short import is_cut_short, lacks_index
from video.decoded_frames import DecodedFrames, is_indexed
from video.demux import limited_size, open_input, packet_durations, require_decoder
from video.errors import InputError
from video.frame_colors import FrameColors
from video.frame_reader import Frame, FrameReader
from video.key_frames import KeyFrames
from video.named_colors import hdr_of_still, profile_of_png
from video.orientation import UPRIGHT, orientation_of
from video.rates import rate_of_durations
from video.reading_remarks import ReadingRemarks, hdr_still_note
from video.size_note import noted_size
from video.transparency import OVER_WHITE, Transparency

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from av.container import InputContainer
    from numpy.typing import NDArray

    from video.animation import Animation

__all__ = ["VideoReader"]

# Where nothing says where chroma lies, it lies over the left one of two columns, as in all video,
# while swscale would take it to lie between them. Decoders that know better say so themselves, and
# so do other containers; what is said here would go before these.
_SILENT_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "avi", "mxf")
_ANIMATIONS = ("gif", "apng")
_LEFT_CODECS = ("prores", "dnxhd", "v210", "cfhd")


class VideoReader(FrameReader):
    """The frames of a video file, in order; a context manager and an iterable, to go through once.

    Reads .mp4, .mov, .mkv, .webm, .gif, .webp and more; holds a few frames at a time. Colours are
    converted by the file's own tags, or by custom where it has none (BT.709 from 720 rows on,
    BT.601 below). Pictures are turned as the file asks for, and what ``VideoWriter`` padded to an
    even size is cropped again. What is transparent is laid over white, or as ``transparency`` says.

    ``frame_count`` and ``duration_seconds`` are None where the file does not say.

    Raises:
        InputError: if there is no such file, it holds no video, or it is damaged.

    Example:
        >>> import tempfile
        >>> from video.video_writer import VideoWriter
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with VideoWriter(f"{folder}/a.mp4", width=32, height=16, rate=24) as writer:
        ...         for level in (0, 128):
        ...             writer.write(np.full((16, 32, 3), level, np.uint8))
        ...     with VideoReader(f"{folder}/a.mp4") as reader:
        ...         [str(frame.pts_seconds) for frame in reader]
        ['0', '1/24']
    """

    def __init__(self, path: str | PathLike[str], transparency: Transparency = OVER_WHITE) -> None:
        self.path = Path(path)
        self._remarks = ReadingRemarks(self.path.name, transparency)
        self._orientation = UPRIGHT
        self._on_file: tuple[str, ...] = ()
        self._container: InputContainer | None = None
        self._decoded: DecodedFrames | None = None
        self._keys: KeyFrames | None = None
        self._wanted: range | None = None
        self._open()

    def _open(self) -> None:
        self._wanted, self._is_fresh = None, True
        animation = open_animation(self.path)
        if animation is not None:
            self._frames = self._animation_frames(animation)
            return
        self._container = open_input(self.path)
        self._remarks.is_cut_short = is_cut_short(self.path)
        try:
            self._frames = self._video_frames(self._container)
        except BaseException:
            self.close()
            raise

    def _animation_frames(self, animation: Animation) -> Iterator[Frame]:
        self.width, self.height = animation.width, animation.height
        self.frame_count = len(animation.durations_ms)
        self._on_file = hdr_still_note(self.path.name, hdr_of_still(self.path))
        self.duration_seconds = Fraction(sum(animation.durations_ms), 1000)
        self.rate = rate_of_durations(animation.durations_ms, Fraction(1, 1000))
        spread = max(animation.durations_ms) - min(animation.durations_ms)
        self._remarks.variable_rate = spread > 1  # they are rounded to milliseconds
        starts_ms = accumulate(animation.durations_ms, initial=0)
        pictures = enumerate(zip(animation.frames(), starts_ms, strict=False))
        return (
            Frame(self._remarks.taken(image), Fraction(ms, 1000), index)
            for index, (image, ms) in pictures
        )

    def _video_frames(self, container: InputContainer) -> Iterator[Frame]:
        if lacks_index(self.path):  # FFmpeg would show the first tile of a grid
            raise InputError(
                f"expected a video in '{self.path}'; found a still in HEIF's format, of a brand"
                " that is not read: save it as .png or .heic"
            )
        streams = container.streams.video
        shown = [each for each in streams if not each.disposition & Disposition.attached_pic]
        if not shown:
            found = "cover art only" if streams else "no pictures in it"
            raise InputError(f"expected a video in '{self.path}'; found {found}")
        stream = shown[0]
        self._remarks.videos = sum(each.frames != 1 for each in shown)
        if stream.frames == 1:  # a picture in place of the animation, as HEIF has them
            stream = max(shown, key=lambda each: each.frames)
        require_decoder(stream, self.path)
        options = limited_size(stream, self.path)
        stream.thread_type = "AUTO"
        if container.format.name in _SILENT_FORMATS or stream.codec_context.name in _LEFT_CODECS:
            options |= {"chroma_sample_location": "left"}
        stream.codec_context.options = options
        self.rate = self._rate_of(container, stream)
        self._remarks.pixel_aspect = stream.sample_aspect_ratio
        self._true_size = noted_size(container)
        self._codec = stream.codec_context.name
        profile = profile_of_png(self.path) if self._codec == "apng" else None
        self._colors = FrameColors(self._remarks, stream.codec_context, profile)
        if self._keys is None and is_indexed(stream):
            self._keys = KeyFrames(self.path, stream.index)
        self._decoded = DecodedFrames(container, stream, self._keys)
        frames = self._converted(self._decoded)
        first = next(frames, None)
        if first is None:
            found = "no frame in it"
            if self._remarks.is_cut_short:
                found = "that the file is cut short before its first frame ends: copy it anew"
            raise InputError(f"expected a video in '{self.path}'; found {found}")
        self.frame_count = None if self._remarks.is_cut_short else stream.frames or None
        self.duration_seconds = None
        if stream.duration is not None and stream.time_base is not None:
            self.duration_seconds = stream.duration * stream.time_base
        elif container.duration is not None:
            self.duration_seconds = Fraction(container.duration, av.time_base)
        return chain((first,), frames)

    def _rate_of(self, container: InputContainer, stream: av.VideoStream) -> Fraction:
        """Frames per second, of which FFmpeg knows little before it has read an animation."""
        if container.format.name in _ANIMATIONS and stream.time_base is not None:
            return rate_of_durations(packet_durations(self.path), stream.time_base)
        rate = stream.average_rate or stream.guessed_rate
        return Fraction(rate) if rate else Fraction(25)

    def _numbered(self, decoded: DecodedFrames) -> Iterator[tuple[int, av.VideoFrame]]:
        try:
            for frame in decoded:
                yield decoded.number - 1, frame
        except av.FFmpegError as error:
            if self._remarks.is_cut_short:
                return
            raise InputError(
                f"'{self.path}' cannot be decoded: {error.strerror}; is it damaged?"
            ) from error

    def _converted(self, decoded: DecodedFrames) -> Iterator[Frame]:
        seconds = Fraction(0)
        for index, frame in self._numbered(decoded):
            seconds = seconds + 1 / self.rate if index else Fraction(0)
            if frame.pts is not None and frame.time_base is not None:
                seconds = frame.pts * frame.time_base
            if frame.time_base is not None:
                self._remarks.look_at(seconds, self.rate, frame.time_base)
            if self._wanted is not None and index not in self._wanted:
                continue
            image = self._remarks.taken(self._image(frame))
            self._remarks.damaged += frame.is_corrupt
            self._remarks.is_interlaced |= bool(frame.interlaced_frame)
            if index == 0:
                self.height, self.width = image.shape[:2]
            elif image.shape[:2] != (self.height, self.width):
                raise InputError(
                    f"frame {index} of '{self.path}' is {image.shape[1]}x{image.shape[0]};"
                    f" expected {self.width}x{self.height} as before"
                )
            yield Frame(image, seconds, index)

    def _image(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        image = self._colors.to_rgb(frame)
        if self._true_size is not None:
            width, height = self._true_size
            if image.shape[0] - height in (0, 1) and image.shape[1] - width in (0, 1):
                image = image[:height, :width]
        orientation = orientation_of(frame, self._codec)
        self._remarks.is_slanted |= orientation is None
        if orientation not in (None, UPRIGHT):  # an APNG says it of its first frame, for all
            self._orientation = orientation
        return image if orientation is None else self._orientation.applied(image)

    def counted(self) -> int | None:
        """How many frames there are, found out where the file does not say; None if it cannot be.

        A file is gone through for it, and decoded where its packets do not tell for certain.
        """
        if self._decoded is None:
            return self.frame_count
        known = None if self._keys is None else self._keys.count()
        if known is not None:
            return known
        with VideoReader(self.path) as reader:
            return reader._count()

    def _count(self) -> int | None:
        """How many frames decoding gives."""
        if self._decoded is None:
            return self.frame_count
        for _ in self._numbered(self._decoded):
            pass
        return self._decoded.number

    def frames_of(self, numbers: range) -> Iterator[Frame]:
        """The frames of these numbers, which rise; a second call may go back.

        Those before them are passed over by the key frame nearest to them, where the file tells.
        """
        if not numbers:
            return
        if not self._is_fresh or numbers.start:
            self._go_towards(numbers.start)
        self._is_fresh, self._wanted = False, numbers
        for frame in self._frames:
            if frame.index in numbers:
                yield frame
            if frame.index >= numbers[-1]:
                return

    def _go_towards(self, number: int) -> None:
        self._remarks.look_elsewhere()
        if self._decoded is not None and self._decoded.go_towards(number):
            self._frames = self._converted(self._decoded)
            return
        self._close_container()
        self._open()

    @property
    def notes(self) -> tuple[str, ...]:
        """In what frames are not as the file has them, a line each; complete once all are read."""
        return (*self._on_file, *self._remarks.lines(self.rate))

    def __iter__(self) -> Iterator[Frame]:
        self._is_fresh, self._wanted = False, None
        return self._frames

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._close_container()
        if self._keys is not None:
            self._keys.close()

    def _close_container(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None
