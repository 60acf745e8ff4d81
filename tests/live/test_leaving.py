"""Viewers by WebRTC that come while a page closes leave no socket open."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

import taesd_stream as ts
from tests.live.asking import ask


async def _offer() -> bytes:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    offer = json.dumps({"sdp": connection.localDescription.sdp}).encode()
    await connection.close()
    return offer


@pytest.mark.parametrize("delay_ms", [0, 10, 20, 40])
def test_no_socket_is_left_by_who_comes_while_it_closes(delay_ms: int) -> None:
    offer = asyncio.run(_offer())

    def come(port: int) -> None:
        with suppress(OSError):
            ask(port, "/offer", offer)

    with ts.LivePage(port=0) as page:
        page.write(np.zeros((16, 16, 3), np.uint8))
        coming = [threading.Thread(target=come, args=(page.port,)) for _ in range(3)]
        for each in coming:
            each.start()
        time.sleep(delay_ms / 1000)
    for each in coming:
        each.join()
    gc.collect()  # what was left open is told then, as an error
