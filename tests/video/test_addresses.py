"""Addresses that video is published to, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from video import InputError
from video.publishing.addresses import PROTOCOLS, Address, is_address, shown


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("rtmp://server/app/SECRET", "rtmp://server/..."),
        ("rtmps://user:SECRET@server:443/app/SECRET", "rtmps://server:443/..."),
        ("srt://server:9000?streamid=SECRET&passphrase=SECRET", "srt://server:9000/..."),
        ("srt://server:9000", "srt://server:9000"),
        ("udp://@239.0.0.1:5000", "udp://239.0.0.1:5000"),
        ("whip+https://SECRET@server/SECRET?a=SECRET", "whip+https://server/..."),
        ("RTSP://[::1]:8554/SECRET", "RTSP://[::1]:8554/..."),
    ],
)
def test_nothing_secret_is_told(address: str, told: str) -> None:
    assert is_address(address)
    found = Address.of(address)
    assert (found.shown, shown(address)) == (told, told)
    assert "SECRET" not in repr(found)
    assert ("SECRET" in address) == ("SECRET" in found.target)


def test_ffmpeg_gets_an_address_that_it_knows() -> None:
    found = Address.of("whip+https://token@server:8889/name/whip")
    assert found.target == "https://server:8889/name/whip"
    assert found.options["authorization"] == "token"
    assert "authorization" not in Address.of("whip+http://server/name").options
    assert Address.of("udp://a:1").target == "udp://a:1?pkt_size=1316"
    assert Address.of("udp://a:1?ttl=2").target == "udp://a:1?ttl=2&pkt_size=1316"
    assert Address.of("udp://a:1?pkt_size=188").target == "udp://a:1?pkt_size=188"
    assert {Address.of(row.example).protocol.muxer for row in PROTOCOLS.values()} == {
        "flv",
        "mpegts",
        "rtsp",
        "whip",
    }
    playlist = Address.of(Path("a/LIVE.M3U8"))
    assert playlist.path == Path("a/LIVE.M3U8").absolute()
    assert playlist.shown == str(Path("a/LIVE.M3U8"))


@pytest.mark.parametrize(
    "address",
    [
        "rtmp://",
        "rtmp:///app/SECRET",
        "udp://server/SECRET",
        "rtsp://a:99999/SECRET",
        "srt://a",
        "rtmp://a/\n",
    ],
)
def test_an_address_without_a_server_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="expected an address with a server") as raised:
        Address.of(address)
    assert "SECRET" not in str(raised.value)


def test_others_are_no_addresses() -> None:
    for name in ("a.mp4", "s3://a/b.mp4", "rtmp:", "http://a/SECRET", Path("rtmp://a"), 5, None):
        assert not is_address(name)
    with pytest.raises(
        InputError, match=r"expected an address of rtmp, .* found 'http://a/\.\.\.'"
    ):
        Address.of("http://a/SECRET")
    with pytest.raises(InputError, match="path of a playlist without %"):
        Address.of("a%d.m3u8")
