"""Addresses that video is published to: which server they mean, and what of them may be told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self, TypeGuard
from urllib.parse import SplitResult, unquote, urlsplit

from video.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PLAYLIST_SUFFIX", "PROTOCOLS", "Address", "Protocol", "is_address", "shown"]

PLAYLIST_SUFFIX: Final = ".m3u8"

_HAS_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9.+-]*://")
_SCHEME: Final = re.compile(r"\A([A-Za-z][A-Za-z0-9.+-]+)://")
_NETWORK_PACKET: Final = 1316
"""Bytes: the most whole packets of MPEG-TS that fit a network's packet."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How video goes to the addresses of one scheme.

    Attributes:
        muxer: FFmpeg's name of the container.
        example: An address, for those who gave another.
        options: Of the muxer.
        key_seconds: The most time from one key frame to the next; a viewer begins at one.
        is_webrtc: Whether the other side may know no more than H.264's baseline profile, and wants
            a certificate.
        library: What FFmpeg needs for it, and may be built without.
    """

    muxer: str
    example: str
    options: tuple[tuple[str, str], ...] = ()
    key_seconds: float = 2.0
    is_webrtc: bool = False
    library: str | None = None


_AT_ONCE = ("flush_packets", "1")
_RTMP = Protocol(
    "flv",
    "rtmp://server/app/key",
    (("flvflags", "no_duration_filesize"), _AT_ONCE),
)
_RTSP = Protocol("rtsp", "rtsp://server:8554/name", (("rtsp_transport", "tcp"),))
_WHIP = Protocol("whip", "whip+https://server/name/whip", is_webrtc=True)

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "rtmp": _RTMP,
        "rtmps": _RTMP,
        "rtsp": _RTSP,
        "rtsps": _RTSP,
        "srt": Protocol(
            "mpegts",
            "srt://server:8890?streamid=publish:name",
            (_AT_ONCE,),
            library="libsrt",
        ),
        "udp": Protocol("mpegts", "udp://239.0.0.1:5000", (_AT_ONCE,)),
        "whip+https": _WHIP,
        "whip+http": _WHIP,
    }
)
"""The scheme of an address -> its protocol."""

_HLS: Final = Protocol(
    "hls",
    "folder/live.m3u8",
    (
        ("hls_time", "1"),
        ("hls_list_size", "6"),
        ("hls_flags", "delete_segments+independent_segments+program_date_time+temp_file"),
    ),
    key_seconds=1.0,
)


def is_address(name: object) -> TypeGuard[str | PathLike[str]]:
    """Whether a name is one of a server that video is published to, or of an HLS playlist.

    >>> [is_address(name) for name in ("rtmp://a/b", "a/live.m3u8", "a.mp4", "s3://a/b.mp4")]
    [True, True, False, False]
    """
    if isinstance(name, str) and (found := _SCHEME.match(name)):
        return found[1].lower() in PROTOCOLS
    return isinstance(name, str | PathLike) and _is_playlist(name)


def _is_playlist(name: str | PathLike[str]) -> bool:
    return Path(name).suffix.lower() == PLAYLIST_SUFFIX


@dataclass(frozen=True, slots=True)
class Address:
    """Where video is published to.

    Attributes:
        protocol: How.
        target: The address as FFmpeg takes it. It may hold a key or a password.
        shown: What may be told of it: the server, and nothing that could be secret.
        host: The server's name, where nobody else looks it up for us.
        path: Of an HLS playlist.
        token: What a WHIP server knows the user by.

    >>> Address.of("rtmp://me:word@live.example/app/secret-key").shown
    'rtmp://live.example/...'
    """

    protocol: Protocol
    target: str
    shown: str
    host: str | None = None
    path: Path | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    @classmethod
    def of(cls, name: str | PathLike[str]) -> Self:
        """The address that a name is.

        Raises:
            InputError: It is none, or lacks a server.
        """
        if not is_address(name):
            raise InputError(
                "expected an address of rtmp, rtmps, rtsp, rtsps, srt, udp, whip+https or"
                f" whip+http, or a name ending in {PLAYLIST_SUFFIX}; found {shown(name)!r}"
            )
        text = fspath(name)
        if not _SCHEME.match(text):
            path = Path(name).absolute()
            if "%" in str(path):  # which FFmpeg would put numbers in
                raise InputError(f"expected the path of a playlist without %; found {text!r}")
            return cls(_HLS, str(path), text, path=path)
        scheme = text.partition(":")[0].lower()
        protocol = PROTOCOLS[scheme]
        try:
            parts = urlsplit(text)
            has_server = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            has_server = False
        needs_port = scheme in ("udp", "srt")
        if not has_server or (needs_port and parts.port is None) or not text.isprintable():
            port = " and a port" if needs_port else ""
            raise InputError(
                f"expected an address with a server{port}, such as {protocol.example}; found"
                f" {shown(text)!r}"
            )
        target, token = text, None
        if protocol is _WHIP:
            token, target = _without_token(parts)
        elif scheme == "udp" and "pkt_size" not in parts.query:
            target += f"{'&' if parts.query else '?'}pkt_size={_NETWORK_PACKET}"
        # A proxy may know names that are not known here.
        host = None if protocol is _WHIP else parts.hostname
        return cls(protocol, target, shown(text), host, token=token)

    @property
    def options(self) -> dict[str, str]:
        """The muxer's options."""
        options = dict(self.protocol.options)
        if self.path is not None:
            options["hls_segment_filename"] = f"{self.path.with_suffix('')}_%06d.ts"
        if self.token is not None:
            options["authorization"] = self.token
        return options


def _without_token(parts: SplitResult) -> tuple[str | None, str]:
    """The token before a WHIP server's name, and its address without it, for FFmpeg."""
    user, _, server = parts.netloc.rpartition("@")
    scheme = parts.scheme.removeprefix("whip+")
    token = unquote(user.rpartition(":")[2]) or None
    return token, parts._replace(scheme=scheme, netloc=server).geturl()


def shown(name: str | PathLike[str]) -> str:
    """What may be told of a name: of an address the server, without users, keys and queries.

    >>> shown("srt://a.example:9000?passphrase=word"), shown("out/live.m3u8")
    ('srt://a.example:9000/...', 'out/live.m3u8')
    """
    text = fspath(name)
    found = _HAS_SCHEME.match(text)
    if not found:
        return text
    server, slash, rest = text[found.end() :].partition("/")
    before, query, _ = server.partition("?")
    host = before.rpartition("@")[2]
    return found[0] + host + ("/..." if query or (slash and rest) else slash)
