"""An encoder, opened: RGB images in, packets out.

One class for all codecs; GIF alone needs a filter in between, which gives each frame its palette.
"""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
from av.codec.hwaccel import HWAccel

from video.color import pad_to, planes_to_frame, rgb_to_frame, set_tags
from video.errors import InputError
from video.yuv import YUV_PIXEL_FORMATS, YuvFormat, YuvFrame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from av.container import OutputContainer
    from numpy.typing import NDArray

    from video.codecs import Encoder
    from video.spec import VideoSpec

__all__ = ["StreamEncoder", "pick_encoder"]

_MAX_REORDERED_TICKS = 1 << 16


def pick_encoder(specs: Sequence[VideoSpec]) -> tuple[VideoSpec, Encoder]:
    """The first encoder of the first spec that opens on this machine at the spec's size.

    Raises:
        InputError: if none opens; the line lists those tried, and names a way out.
    """
    tried = []
    for spec in specs:
        for encoder in spec.encoders:
            reason = _why_not(spec, encoder)
            if reason is None:
                return spec, encoder
            tried.append(f"{encoder.name} ({reason})")
    spec = specs[0]
    advice = f"; use codec {spec.codec.software!r} instead" if spec.codec.software else ""
    raise InputError(
        f"no encoder opens here for {spec.width}x{spec.height} at {spec.rate} frames per second;"
        f" tried {', '.join(tried)}{advice}"
    )


def _why_not(spec: VideoSpec, encoder: Encoder) -> str | None:
    """Open ``encoder`` in a container that writes nothing; say why that fails, or None."""
    # In a container, since only that sets up the device that some take their frames on.
    try:
        with av.open(os.devnull, "w", format="null") as container, _quiet_svt():
            _add_stream(container, spec, encoder, threads=1).codec_context.open()
    except (av.FFmpegError, ValueError, TypeError, NotImplementedError) as error:
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, av.codec.codec.UnknownCodecError):
        return "not in this build of FFmpeg"
    if isinstance(error, av.FFmpegError) and error.strerror:
        return error.strerror
    return str(error)


def _time_base(spec: VideoSpec, encoder: Encoder) -> Fraction:
    """Seconds per tick of the clock that frames are stamped with."""
    ticks = encoder.ticks_per_second or spec.ticks_per_second
    return 1 / spec.rate if ticks is None else Fraction(1, ticks)


def _add_stream(
    container: OutputContainer, spec: VideoSpec, encoder: Encoder, *, threads: int
) -> av.VideoStream:
    device = HWAccel(encoder.device, allow_software_fallback=False) if encoder.device else None
    options = spec.encoder_options(encoder)
    added = container.add_stream(encoder.name, rate=spec.rate, options=options, hwaccel=device)
    stream = cast("av.VideoStream", added)
    stream.time_base = _time_base(spec, encoder)
    context = stream.codec_context
    context.width, context.height = spec.coded_size(encoder)
    context.pix_fmt = encoder.pixel_format
    context.framerate = spec.rate
    context.time_base = stream.time_base
    context.thread_count = threads
    if spec.low_delay:  # threads that take whole frames hold as many back
        context.thread_type = "SLICE"
    set_tags(context, spec.color_tags(encoder))
    if spec.codec.tag is not None and container.format.name in ("mp4", "mov"):
        context.codec_tag = spec.codec.tag
    return stream


class StreamEncoder:
    """The video stream of ``container``, fed with frames of the spec's size.

    ``threads`` 0 leaves their number to the encoder. ``yuv_format`` tells the planes that
    ``encode`` takes besides RGB images; None for encoders of other formats. ``time_base`` is the
    seconds of a tick.
    """

    def __init__(
        self, container: OutputContainer, spec: VideoSpec, encoder: Encoder, *, threads: int
    ) -> None:
        self._spec = spec
        self._encoder = encoder
        self._size = spec.coded_size(encoder)
        self._tags = spec.color_tags(encoder)
        self.time_base = _time_base(spec, encoder)
        self.stream = _add_stream(container, spec, encoder, threads=threads)
        self.yuv_format: YuvFormat | None = None
        self._palettes: _PaletteFilter | None = None
        if encoder.pixel_format in YUV_PIXEL_FORMATS:
            self.yuv_format = YuvFormat(encoder.pixel_format, *self._size, self._tags)
        elif encoder.pixel_format == "pal8":
            self._palettes = _PaletteFilter(*self._size, self.time_base)
        with _quiet_svt():
            self.stream.codec_context.open()

    def encode(self, frame: NDArray[np.uint8] | YuvFrame, index: int) -> list[av.Packet[Any]]:
        """Packets that are ready after frame ``index``, shown at ``index / rate`` seconds.

        Raises:
            InputError: for planes that are not those of ``yuv_format``.
        """
        return self.encode_at(frame, round(index / self._spec.rate / self.time_base))

    def encode_at(
        self, frame: NDArray[np.uint8] | YuvFrame, pts: int, *, is_key: bool = False
    ) -> list[av.Packet[Any]]:
        """The same, of a frame that is shown after ``pts`` ticks of ``time_base``.

        ``is_key``: it is to need no frame before it.
        """
        converted = self._converted(frame)
        if is_key:
            converted.pict_type = av.video.frame.PictureType.I
        converted.pts = pts
        converted.time_base = self.time_base
        return self._packets(converted)

    def _converted(self, frame: NDArray[np.uint8] | YuvFrame) -> av.VideoFrame:
        if not isinstance(frame, YuvFrame):
            width, height = self._size
            pixel_format = "rgb24" if self._palettes else self._encoder.pixel_format
            return rgb_to_frame(pad_to(frame, width=width, height=height), pixel_format, self._tags)
        if self.yuv_format is None:
            raise InputError(
                f"expected RGB images for {self._encoder.name}, which takes"
                f" {self._encoder.pixel_format}; found YUV planes"
            )
        return planes_to_frame(frame, self.yuv_format)

    def flush(self) -> list[av.Packet[Any]]:
        """The packets still inside; no frame may follow."""
        return self._packets(None)

    def _packets(self, frame: av.VideoFrame | None) -> list[av.Packet[Any]]:
        frames = self._palettes.push(frame) if self._palettes else (frame,)
        packets = [packet for each in frames for packet in self.stream.encode(each)]
        for packet in packets:
            if not packet.duration and packet.time_base == 1 / self._spec.rate:
                packet.duration = 1
            _mend_dts(packet)
        return packets


def _mend_dts(packet: av.Packet[Any]) -> None:
    """Replace a decoding time that cannot be: x265 (before its pull request 936) takes it from
    memory never set when a video is shorter than its B-frames reach, and muxers then refuse it.
    """
    if packet.pts is None or packet.dts is None:
        return
    if not 0 <= packet.pts - packet.dts <= _MAX_REORDERED_TICKS:
        packet.dts = packet.pts


class _PaletteFilter:
    """RGB frames to 256 colours, with the best palette for each frame; holds one frame at a time.

    Ordered dithering: its pattern stands still from frame to frame, where error diffusion crawls.
    """

    def __init__(self, width: int, height: int, time_base: Fraction) -> None:
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=width, height=height, format=av.VideoFormat("rgb24"), time_base=time_base
        )
        split = graph.add("split")
        generate = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
        use = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
        graph.link_nodes(source, split, use, graph.add("buffersink"))
        split.link_to(generate, 1, 0)
        generate.link_to(use, 0, 1)
        graph.configure()
        self._graph = graph

    def push(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame | None]:
        """Give one frame, or None at the end; yields those that are ready, then None at the end."""
        self._graph.vpush(frame)
        while True:
            try:
                yield self._graph.vpull()
            except av.BlockingIOError:
                return
            except av.EOFError:
                yield None
                return


@contextlib.contextmanager
def _quiet_svt() -> Iterator[None]:
    """Keep SVT-AV1 from printing its settings: it reads this variable when it starts, and only it.

    A value that the user has set stays.
    """
    is_set = "SVT_LOG" in os.environ
    os.environ.setdefault("SVT_LOG", "1")
    try:
        yield
    finally:
        if not is_set:
            os.environ.pop("SVT_LOG", None)
