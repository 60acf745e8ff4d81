"""Viewers by WebRTC: each a connection that is handed the encoded pictures."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

from taesd_stream.errors import InputError
from taesd_stream.live.access import is_loopback
from taesd_stream.live.packet_queue import PacketQueue
from taesd_stream.live.video_feed import VideoFeed
from taesd_stream.live.viewers import FullError, Viewer, Viewers
from video.live_encoding import TICKS_PER_SECOND

__all__ = ["Peers"]

_SECONDS_TO_CONNECT: Final = 15
_CODECS: Final = ("video/h264", "video/rtx")

# A browser hides its addresses behind names that only a query to the whole network would resolve.
_HIDDEN_ADDRESS = re.compile(r"(?m)^(a=candidate:\S+ \d+ \S+ \d+) \S+\.local ")


class _Track(MediaStreamTrack):
    """What one viewer is sent."""

    kind = "video"

    def __init__(self, queue: PacketQueue, viewer: Viewer) -> None:
        super().__init__()
        self._queue, self._viewer = queue, viewer

    async def recv(self) -> av.Packet[Any]:
        picture = await self._queue.get()
        self._viewer.sent += 1
        self._viewer.dropped = self._queue.dropped
        packet = av.Packet(picture.data)
        packet.pts, packet.time_base = picture.pts, Fraction(1, TICKS_PER_SECOND)
        return packet


class Peers:
    """The connections of all who watch by WebRTC.

    Args:
        feed: What they are sent.
        viewers: Where they are counted.
        address: The one that the page is served at; one of loopback keeps all that is sent there.
    """

    def __init__(self, feed: VideoFeed, viewers: Viewers, address: str) -> None:
        self._feed, self._viewers = feed, viewers
        self._is_loopback = is_loopback(address)
        self._open: dict[RTCPeerConnection, Callable[[], None]] = {}
        self._waits: set[asyncio.Task[None]] = set()
        # Work that has to come to its end before the loop does: else sockets would be left open.
        self._answering: set[asyncio.Future[None]] = set()
        self._ending: set[asyncio.Future[None]] = set()
        self._is_closed = False

    async def answer(self, offer: str, client: str) -> str:
        """Connect a browser that offers to watch.

        Args:
            offer: Its session description (SDP).
            client: Its address, as it came.

        Returns:
            The description that answers it.

        Raises:
            InputError: It is none, or does not take H.264.
            FullError: No more may watch.
        """
        if self._is_closed:
            raise FullError("viewers: expected a page that is open, found that it is closed")
        answered = asyncio.get_running_loop().create_future()
        self._answering.add(answered)
        try:
            return await self._answer(offer, client)
        finally:
            self._answering.discard(answered)
            answered.set_result(None)

    async def close(self) -> None:
        """End all of them."""
        self._is_closed = True
        for task in self._waits:
            task.cancel()
        await asyncio.gather(*self._answering)
        await asyncio.gather(*(self._end(each) for each in tuple(self._open)), *self._ending)

    async def _answer(self, offer: str, client: str) -> str:
        viewer, leave = self._viewers.enter("webrtc")
        queue = self._feed.follow()

        def left() -> None:
            self._feed.leave(queue)
            leave()

        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._open[connection] = left
        connection.addTrack(_Track(queue, viewer))
        self._watch(connection)
        try:
            await self._connect(connection, _HIDDEN_ADDRESS.sub(rf"\1 {client} ", offer))
        except BaseException:
            await self._end(connection)
            raise
        return str(connection.localDescription.sdp)

    async def _connect(self, connection: RTCPeerConnection, offer: str) -> None:
        (transceiver,) = connection.getTransceivers()
        known = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences(
            [each for each in known if each.mimeType.lower() in _CODECS]
        )
        if self._is_loopback:
            _keep_on_loopback(transceiver)
        try:
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await connection.setLocalDescription(await connection.createAnswer())
        except Exception as error:  # of a description that is untrusted, whatever its reader raises
            raise InputError(
                "offer: expected a WebRTC offer to receive H.264 video, found another"
                f" ({type(error).__name__})"
            ) from error

    def _watch(self, connection: RTCPeerConnection) -> None:
        """End a connection that fails, ends, or never comes about."""

        @connection.on("connectionstatechange")
        async def changed() -> None:
            if connection.connectionState in ("failed", "closed"):
                await self._end(connection)

        async def wait() -> None:
            await asyncio.sleep(_SECONDS_TO_CONNECT)
            if connection.connectionState != "connected":
                await self._end(connection)

        task = asyncio.ensure_future(wait())
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)

    async def _end(self, connection: RTCPeerConnection) -> None:
        left = self._open.pop(connection, None)
        if left is None:
            return
        left()
        closing = asyncio.ensure_future(connection.close())
        self._ending.add(closing)
        closing.add_done_callback(self._ending.discard)
        await asyncio.shield(closing)


def _keep_on_loopback(transceiver: Any) -> None:
    """Let a connection listen on loopback, where its library takes every address but that."""
    ice = transceiver.sender.transport.transport.iceGatherer._connection
    gather = ice.get_component_candidates

    async def on_loopback(component: int, addresses: list[str], timeout: int = 5) -> Any:
        return await gather(component=component, addresses=["127.0.0.1"], timeout=timeout)

    ice.get_component_candidates = on_loopback
