"""What a server of WebRTC gets, which is not FFmpeg's."""

from __future__ import annotations

import sys
from fractions import Fraction

import pytest

from tests.video.servers import number_of, picture
from video import VideoOptions
from video.errors import MissingExtraError
from video.publishing.addresses import Address
from video.publishing.publisher import Publisher, check_build


def test_a_whip_server_gets_the_pictures_at_their_times() -> None:
    pytest.importorskip("aiortc", reason="needs the extra live")
    pytest.importorskip("cryptography", reason="needs the extra whip")
    from tests.video.webrtc_server import WhipServer

    count = 12
    with WhipServer() as server:
        address = Address.of(f"whip+http://token@127.0.0.1:{server.port}/name/whip")
        with Publisher(
            address, width=64, height=48, options=VideoOptions(Fraction(24), crf=8)
        ) as publishing:
            for number in range(count):
                publishing.write(picture(number), Fraction(number, 24))
    assert server.tokens == ["Bearer token"]
    assert server.is_left
    # Its jitter buffer gives a picture out when the next one has come.
    numbers = [number_of(image) for _, image in server.received]
    assert numbers == list(range(count - 1))
    start = server.received[0][0]
    assert [at - start for at, _ in server.received] == pytest.approx(
        [number / 24 for number in numbers], abs=1e-4
    )


def test_without_the_library_of_certificates_its_extra_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setattr("video.publishing.certificate.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'taesd-stream\[whip\]'"):
        check_build(Address.of("whip+https://server/name"))
    check_build(Address.of("rtmp://server/name"))
