"""Frames to a server, or to an HLS folder, as H.264."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av

from video.closing import Closing
from video.codecs import choose_codec
from video.color import check_image
from video.encoding import StreamEncoder, pick_encoder
from video.errors import InputError, OutputError
from video.limits import limits_of
from video.publishing.certificate import check_certificates, write_certificate
from video.publishing.relay import DONE, RelayJob
from video.publishing.relay_process import RelayProcess
from video.spec import VideoSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from video.options import VideoOptions
    from video.publishing.addresses import Address

__all__ = ["PATIENCE_SECONDS", "Publisher", "check_build", "is_publishable", "specs_of"]

PATIENCE_SECONDS: Final = 10.0
"""How long a server may take to answer, or to take a packet."""

_TICKS: Final = 90_000
_FAMILY: Final = "h264"


def is_publishable(codec: str) -> bool:
    """Whether a codec's name is one of H.264, which servers and browsers take.

    >>> [is_publishable(name) for name in ("h264", "h264_nvenc", "vp9")]
    [True, True, False]
    """
    return codec.lower().startswith((_FAMILY, "avc"))


def check_build(address: Address) -> None:
    """Refuse what this build of FFmpeg knows nothing of.

    Raises:
        InputError: It says what can be done instead.
        MissingExtraError: A library for it is not installed.
    """
    if address.protocol.is_webrtc:
        check_certificates()
    library = address.protocol.library
    if library is None:
        return
    scheme = address.target.partition(":")[0]
    with suppress(av.FFmpegError):
        container = av.open(f"{scheme}:", "w", format=address.protocol.muxer)
        container.add_mux_stream(_FAMILY, rate=24, width=16, height=16)
        try:
            container.start_encoding()
        except av.error.ProtocolNotFoundError:
            raise InputError(
                f"{scheme}: expected PyAV with {library}, found one without, as its wheels are;"
                " publish to rtmp:// or rtsp://, or to udp://127.0.0.1:PORT, from where"
                " srt-live-transmit carries it on, or build PyAV for an FFmpeg that has it"
            ) from None


def specs_of(
    width: int, height: int, options: VideoOptions, *, is_baseline: bool = False
) -> list[VideoSpec]:
    """The videos to try, in order.

    Raises:
        InputError: The options are not of H.264, which is what servers and browsers take.
    """
    if options.lossless or options.audio is not None or options.alpha:
        raise InputError(
            "published video is neither lossless nor transparent and has no sound; leave them out"
        )
    codec = options.codec or _FAMILY
    if not is_publishable(codec):
        raise InputError(
            "codec: expected h264, h264_hw or an encoder such as h264_nvenc for what is published,"
            f" found {codec!r}"
        )
    return [
        VideoSpec(
            *(width, height, options.rate, row, options.crf),
            low_delay=True,
            ticks_per_second=_TICKS,
            is_baseline=is_baseline,
        )
        for row in choose_codec(".mp4", codec)
    ]


class Publisher(Closing):
    """Takes frames with their times, and sends each at once.

    FFmpeg's muxers do the sending, in a process of their own (``relay`` says why). The server is
    connected to with the first frame.

    Args:
        address: Where to.
        width, height: Pixels of every frame.
        options: How the video is encoded; of H.264, without sound.
        patience: Seconds after which a server that does not answer is given up.

    Attributes:
        notes: Remarks on the video, a line each.
        frames_written: How many frames were sent.

    Raises:
        InputError: The options make no sense, or no encoder opens.
    """

    def __init__(
        self,
        address: Address,
        *,
        width: int,
        height: int,
        options: VideoOptions,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._address, self._patience = address, patience
        protocol = address.protocol
        specs = specs_of(width, height, options, is_baseline=protocol.is_webrtc)
        self._spec, encoder = pick_encoder(specs)
        self.notes = tuple(limits_of(self._spec, encoder, protocol.muxer))
        self.frames_written = 0
        self._has_failed = self._is_abandoned = False
        self._last = -1
        self._next_key = 0.0
        self._holder = av.open(os.devnull, "w", format="null")
        self._encoding = StreamEncoder(
            self._holder, self._spec, encoder, threads=options.threads or 0
        )
        coded_width, coded_height = self._spec.coded_size(encoder)
        self._folder = tempfile.TemporaryDirectory(prefix="taesd-stream-")
        made = write_certificate(Path(self._folder.name)) if protocol.is_webrtc else {}
        self._relay = RelayProcess(
            RelayJob(
                target=address.target,
                host=address.host,
                muxer=protocol.muxer,
                options=address.options | made,
                codec=_FAMILY,
                width=coded_width,
                height=coded_height,
                rate=str(options.rate),
                ticks_per_second=_TICKS,
                patience=patience,
            )
        )

    def write(self, frame: NDArray[np.uint8], at: Fraction | float) -> None:
        """Send one frame: uint8, (height, width, 3), RGB.

        Args:
            at: Seconds after the first one; one that is not later than the frame before comes a
                tick after that.

        Raises:
            InputError: Its shape or dtype is another.
            OutputError: The server is not there, not any more, or does not take it.
        """
        image = check_image(frame, width=self._spec.width, height=self._spec.height)
        pts = max(round(Fraction(at) * _TICKS), self._last + 1)
        is_key = pts >= self._next_key
        if is_key:
            self._next_key = pts + self._address.protocol.key_seconds * _TICKS
        usual = round(_TICKS / self._spec.rate)
        duration = usual if self._last < 0 else pts - self._last
        for packet in self._encoding.encode_at(image, pts, is_key=is_key):
            self._send(packet, duration)
        self._last = pts
        self.frames_written += 1

    def _send(self, packet: av.Packet[Any], duration: int) -> None:
        """Have a packet carried, and wait until it is."""
        answer = self._relay.carry(packet, duration)
        if answer:
            self._has_failed = True
            raise self._failure(answer)

    def close(self) -> None:
        """Say goodbye to the server; a second call does nothing.

        Raises:
            OutputError: It is not there any more.
        """
        if self._relay.is_closed:
            return
        try:
            if self.frames_written and not self._has_failed:
                for packet in self._encoding.flush():
                    self._send(packet, 0)
        finally:
            answer = self._relay.finish()
            self._holder.close()
            self._folder.cleanup()
        if answer != DONE and not self._has_failed:
            raise self._failure(answer)

    def abandon(self) -> None:
        """End it at once, without a goodbye; any thread may call it."""
        self._is_abandoned = True
        self._relay.kill()

    def _failure(self, answer: str) -> OutputError:
        if self._is_abandoned:
            return OutputError(f"publishing to {self._address.shown} was given up")
        if self._address.path is not None:
            return OutputError(
                f"writing '{self._address.path}' failed after {self.frames_written} frames"
                f" ({answer})"
            )
        if not self.frames_written:
            return OutputError(
                f"expected a server that takes video at {self._address.shown}, found none"
                f" ({answer}); check that it runs, and the address with its key"
            )
        return OutputError(
            f"publishing to {self._address.shown} ended after {self.frames_written} frames"
            f" ({answer}); look at the server's log"
        )
