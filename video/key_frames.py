"""The frames of a video that decoding can begin at, found without decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av

from video.closing import Closing
from video.demux import open_input

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer

__all__ = ["KeyFrames"]


class KeyFrames(Closing):
    """Key frames, as far as a file has been gone through for them: no further than is asked for.

    They are believed in only where every packet is a frame that is shown, and none is shown before
    the key frame that it follows: frames that refer to those before such a key frame are lost where
    a file was cut or put together there, which packets do not tell.

    Args:
        path: the file.
        stream_index: of its video.
    """

    def __init__(self, path: Path, stream_index: int) -> None:
        self._path, self._stream_index = path, stream_index
        self._container: InputContainer | None = None
        self._packets: Iterator[av.Packet[Any]] = self._read()
        self._promised = 0
        self._keys: list[tuple[int, int]] = []
        self._times_since: set[int] = set()
        self._seen = 0
        self._latest: int | None = None
        self._is_sure, self._is_whole = True, False

    def before(self, number: int) -> tuple[int, int] | None:
        """The last key frame up to a frame: its number, and its time in ticks of the stream.

        Returns:
            None where that is not certain.
        """
        while self._is_sure and not self._is_whole and not self._has_passed(number):
            self._take()
        if not self._is_sure or (self._is_whole and number >= self._seen):
            return None
        return max((key for key in self._keys if key[0] <= number), default=None)

    def count(self) -> int | None:
        """How many frames there are; None where that is not certain."""
        while self._is_sure and not self._is_whole:
            self._take()
        is_told = self._is_whole and self._promised in (0, self._seen)
        return self._seen if self._is_sure and is_told and self._seen else None

    def doubt(self) -> None:
        """Believe in none of them any more: decoding from one on gave another frame."""
        self._is_sure = False

    def close(self) -> None:
        """Close the file; no more of it is known than was gone through."""
        if self._container is not None:
            self._container.close()
        self._is_sure = self._is_sure and self._is_whole

    def _read(self) -> Iterator[av.Packet[Any]]:
        self._container = open_input(self._path)
        stream = self._container.streams[self._stream_index]
        self._promised = stream.frames
        yield from self._container.demux(stream)

    def _has_passed(self, number: int) -> bool:
        return bool(self._keys) and self._keys[-1][0] > number

    def _take(self) -> None:
        """Take in one packet more."""
        try:
            packet = next(self._packets, None)
        except av.FFmpegError:
            packet, self._is_sure = None, False
        if packet is None:
            self._is_whole = True
        elif packet.size:
            self._look_at(packet)

    def _look_at(self, packet: av.Packet[Any]) -> None:
        pts = packet.pts
        if pts is None or packet.is_corrupt or packet.is_discard:
            self._is_sure = False
            return
        if packet.is_keyframe:
            is_behind = self._latest is None or pts > self._latest
            self._is_sure = self._is_sure and is_behind
            self._keys.append((self._seen, pts))
            self._times_since = set()
        elif not self._keys or pts < self._keys[-1][1] or pts in self._times_since:
            self._is_sure = False
        self._times_since.add(pts)
        self._latest = pts if self._latest is None else max(self._latest, pts)
        self._seen += 1
