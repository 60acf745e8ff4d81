"""What servers get of what is published, and what is said where they do not take it."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.video.servers import Server, free_port, number_of, picture, played, silent_server
from video import InputError, OutputError, VideoOptions
from video.publishing.addresses import Address
from video.publishing.publisher import Publisher

RATE = 24


def publisher(address: str | Path, *, patience: float = 20, **options: object) -> Publisher:
    wanted = VideoOptions(Fraction(RATE), **{"crf": 8, **options})
    return Publisher(Address.of(address), width=64, height=48, options=wanted, patience=patience)


@pytest.mark.parametrize(
    ("scheme", "path", "tick"),
    [("rtmp", "/app/key", 1000), ("rtsp", "/name", 90_000), ("udp", "", 90_000)],
)
def test_a_server_gets_the_pictures_at_their_times(scheme: str, path: str, tick: int) -> None:
    # UDP has no end: a picture is known to be whole when others have come.
    count, known = 20, 18 if scheme == "udp" else 20
    server = Server(scheme, most=known)
    with publisher(f"{scheme}://127.0.0.1:{server.port}{path}") as publishing:
        for number in range(count):
            publishing.write(picture(number), Fraction(number, RATE))
    server.join()
    assert publishing.frames_written == count
    # RTSP's first picture comes ahead of the report that tells times.
    timed = {number_of(image): at for at, image in server.received if at is not None}
    assert [number_of(image) for _, image in server.received] == list(range(known))
    assert len(timed) >= known - 1
    start = timed[5]
    for number, at in timed.items():
        assert float(at - start) == pytest.approx((number - 5) / RATE, abs=1.01 / tick)


def segments_of(playlist: str) -> list[str]:
    assert playlist.startswith("#EXTM3U\n")
    return [line for line in playlist.splitlines() if line and not line.startswith("#")]


def test_a_playlist_is_valid_all_the_time_and_forgets(tmp_path: Path) -> None:
    path, seen, files = tmp_path / "my live.m3u8", [], {}
    with publisher(path) as publishing:
        for number in range(9 * RATE):
            publishing.write(picture(number // RATE), Fraction(number, RATE))
            if path.exists():
                listed = segments_of(path.read_text())
                files[listed[-1]] = path.stat().st_ino
                assert all((tmp_path / name).stat().st_size for name in listed)
                seen.append((number, len(listed), listed[-1]))
    assert seen[0][0] == RATE  # a second after the first segment began
    assert {count for _, count, _ in seen} == {1, 2, 3, 4, 5, 6}
    assert all(one != next_one for one, next_one in pairwise(files.values()))  # replaced at once
    playlist = path.read_text()
    assert re.findall(r"#EXTINF:(.*),", playlist) == ["1.000000"] * 6
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in playlist
    assert playlist.endswith("#EXT-X-ENDLIST\n")
    assert segments_of(playlist) == [f"my live_{number:06d}.ts" for number in range(3, 9)]
    assert not (tmp_path / "my live_000000.ts").exists()
    assert not list(tmp_path.glob("*.tmp"))
    assert [number_of(image) for _, image in played(path)] == [
        number // RATE for number in range(3 * RATE, 9 * RATE)
    ]


def test_a_viewer_can_begin_every_two_seconds_of_the_frames_own_times() -> None:
    server = Server("rtmp")
    with publisher(f"rtmp://127.0.0.1:{server.port}/app/key") as publishing:
        keys = []
        send = publishing._send
        publishing._send = lambda packet, duration: (
            keys.append(packet.is_keyframe),
            send(packet, duration),
        )
        for seconds in (0, 0.5, 1.99, 2, 2.01, 3.9, 4.5, 9, 9.1):
            publishing.write(picture(0), seconds)
    server.join()
    assert [bool(each) for each in keys] == [
        True,
        False,
        False,
        True,
        False,
        False,
        True,
        True,
        False,
    ]


def written(publishing: Publisher, count: int) -> None:
    with publishing:
        for number in range(count):
            publishing.write(picture(number), Fraction(number, RATE))


def test_a_server_that_is_not_there_is_told_of_without_secrets() -> None:
    port = free_port()
    for address, reason in (
        (f"rtmp://user:secret@127.0.0.1:{port}/app/secret", "Connection refused"),
        (f"rtsp://user:secret@127.0.0.1:{port}/secret?secret", "Connection refused"),
        (f"whip+http://secret@127.0.0.1:{port}/secret", "Connection refused"),
        ("rtmp://no-such-host.invalid/app/secret", "(not known|resolution|nodename)"),
    ):
        with pytest.raises(OutputError, match=rf"none \(.*{reason}.*\); check that") as raised:
            written(publisher(address), 1)
        assert "secret" not in str(raised.value)
        assert raised.value.__cause__ is None
        assert re.search(r"at \S+://[a-z0-9.:-]+/\.\.\.,", str(raised.value))


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp", "whip+http"])
def test_a_server_that_never_answers_is_given_up(scheme: str) -> None:
    with (
        silent_server() as port,
        pytest.raises(OutputError, match=r"none \(no answer within 0.2 s\)"),
    ):
        written(publisher(f"{scheme}://127.0.0.1:{port}/app/key", patience=0.2), 1)


def test_a_server_that_goes_away_is_told_of_once() -> None:
    server = Server("rtmp", most=3)
    publishing = publisher(f"rtmp://127.0.0.1:{server.port}/app/key")
    with pytest.raises(OutputError, match=r"127\.0\.0\.1:\d+/\.\.\. ended after \d+ frames"):
        written(publishing, 10_000)
    server.join()
    publishing.close()
    assert 3 <= publishing.frames_written < 10_000


def test_one_that_is_abandoned_ends_at_once() -> None:
    with silent_server() as port:
        publishing = publisher(f"rtmp://127.0.0.1:{port}/app/key")
        publishing.abandon()
        with pytest.raises(OutputError, match=r"\.\.\. was given up"):
            written(publishing, 1)


def test_what_cannot_be_published(tmp_path: Path) -> None:
    for options, reason in (
        ({"codec": "vp9"}, "codec: expected h264"),
        ({"codec": "h264", "crf": 99}, "expected a crf from 0"),
        ({"lossless": True, "crf": None}, "neither lossless"),
    ):
        with pytest.raises(InputError, match=reason):
            publisher(tmp_path / "a.m3u8", **options)
    folder = tmp_path / "taken-away"
    with pytest.raises(OutputError, match=r"a\.m3u8' failed after 24 frames \(No such file"):
        written(publisher(folder / "a.m3u8"), RATE * 2)
    with publisher(tmp_path / "a.m3u8") as publishing:
        with pytest.raises(InputError, match="expected a frame of shape"):
            publishing.write(np.zeros((4, 4, 3), np.uint8), 0)
        publishing.write(picture(0), 0)
    odd = Publisher(
        Address.of(tmp_path / "odd.m3u8"), width=5, height=4, options=VideoOptions(Fraction(RATE))
    )
    odd.close()
    assert "was padded to 6x4" in odd.notes[0]
