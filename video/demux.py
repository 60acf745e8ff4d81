"""Opening files that others made: local files only, and only the formats we mean to read."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import av

from video.claimed_size import check_claimed_size, most_pixels
from video.cut_short import FirstBytes, end_of_whole_boxes, lacks_index
from video.errors import InputError

if TYPE_CHECKING:
    from os import PathLike

    from av.container import InputContainer

__all__ = ["limited_size", "open_input", "packet_durations", "require_decoder"]

# A playlist that calls itself .mp4 could make FFmpeg open other files, or addresses: so no
# playlists, and no protocol but "file". The name goes with its protocol, or "12:30.mp4" is none.
_PROTOCOLS = "file"
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,webp_pipe,mpegts,mpeg,ogg,ivf,y4m,yuv4mpegpipe,"
    "apng,wav,w64,mp3,flac,aac,ac3,aiff,caf,h264,hevc,obu,m4v,flv,asf,mxf,mpegvideo,rm"
)


def open_input(path: str | PathLike[str]) -> InputContainer:
    """Open a media file for reading; the caller closes it.

    Raises:
        InputError: if there is no such file, or it is no media file known here.
    """
    source = Path(path)
    if not source.is_file():
        what = "a folder" if source.is_dir() else "no such file"
        raise InputError(f"expected a video or audio file at '{source}'; found {what}")
    options = {
        "fflags": "discardcorrupt",
        "protocol_whitelist": _PROTOCOLS,
        "format_whitelist": _FORMATS,
        # Opening decodes a frame where a header leaves something out.
        "max_pixels": str(most_pixels(None, source.stat().st_size)),
    }
    try:
        return av.open(f"file:{source.absolute()}", mode="r", options=options)
    except (av.FFmpegError, ValueError) as error:
        end = end_of_whole_boxes(source)
        if end is not None:
            with suppress(av.FFmpegError, ValueError):
                return av.open(FirstBytes(source, end), mode="r", options=options)
        if lacks_index(source):
            raise InputError(
                f"cannot read '{source}': it has no index of its frames (moov), which is written"
                " last: the recording or the copy was cut short; copy it anew, or repair it"
            ) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"cannot read '{source}' as a video or audio file: {reason}; is it complete?"
        ) from error


def require_decoder(stream: av.VideoStream | av.AudioStream, path: Path) -> None:
    """Refuse a stream that nothing here can decode.

    Raises:
        InputError: its codec is unknown.
    """
    context: object = stream.codec_context  # None where there is none, whatever its type says
    if context is None:
        what, kinds = ("sound", "WAV") if stream.type == "audio" else ("video", "H.264 or AV1")
        raise InputError(
            f"cannot decode the {what} in '{path}': its codec is none that is known here; convert"
            f" it to {kinds}, or copy it anew"
        )


def packet_durations(path: Path) -> list[int]:
    """How long each frame of a file's first video stays, in ticks of its stream, as far as it goes.

    The file is gone through once, and nothing is decoded.
    """
    durations: list[int] = []
    with open_input(path) as container, suppress(av.FFmpegError):
        durations.extend(each.duration or 0 for each in container.demux(video=0) if each.size)
    return durations


def limited_size(stream: av.VideoStream, path: Path) -> dict[str, str]:
    """The options of a decoder that makes no pictures larger than the file can hold.

    Raises:
        InputError: its header claims larger ones.
    """
    context, file_bytes = stream.codec_context, path.stat().st_size
    codec = context.codec.canonical_name
    check_claimed_size((context.width, context.height), codec, file_bytes, path)
    return {"max_pixels": str(most_pixels(codec, file_bytes))}
