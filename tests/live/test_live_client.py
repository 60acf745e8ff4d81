"""``LiveClient`` against pages: what arrives, what is dropped, and what is said of it."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

import taesd_stream as ts
from taesd_stream.live.page_address import PageAddress
from tests.live.asking import frame_of, until
from tests.live.certificates import write_certificate


def _latents(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _picture(ae: ts.AutoEncoder, latent: torch.Tensor) -> np.ndarray:
    return next(iter(ae.stream([latent])))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_the_page_shows_what_was_pushed(
    page: ts.LivePage, nano: ts.AutoEncoder, dtype: torch.dtype
) -> None:
    latent = _latents(4, 5, 7).to(dtype)
    with ts.LiveClient(page.url) as client:
        pushed = latent.clone().transpose(1, 2).contiguous().transpose(1, 2)  # in another order
        client.push(pushed)
        pushed.fill_(torch.nan)  # it is the caller's again
    assert (client.counts.pushed, client.counts.sent, client.counts.failure) == (1, 1, None)
    until(lambda: page.status.shown == 1)
    np.testing.assert_array_equal(frame_of(page.port), _picture(nano, latent.float()))


def test_a_clip_arrives_whole_where_its_program_waits(page: ts.LivePage) -> None:
    with ts.LiveClient(page.url, when_full="wait", queue=2) as client:
        client.push(_latents(40, 4, 3, 4))
    assert (client.counts.pushed, client.counts.sent, client.counts.dropped) == (40, 40, 0)


def test_what_is_wrong_is_said_once_and_the_rest_goes_on(
    page: ts.LivePage, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING, "taesd_stream"),
        ts.LiveClient(page.url, when_full="wait") as client,
    ):
        for _ in range(3):
            client.push(_latents(5, 2, 2))
        until(lambda: client.counts.dropped == 3)
        assert "of 4 channels, which nano takes, found [5, 2, 2]" in str(client.counts.failure)
        client.push(torch.full((4, 2, 2), torch.nan))
        until(lambda: client.counts.dropped == 4)
        assert "found nan" in str(client.counts.failure)
        client.push(_latents(4, 2, 2))
        until(lambda: client.counts.sent == 1)
    assert client.counts.failure is None
    assert [message[:30] for message in caplog.messages] == ["live: latents were not taken: "] * 2


def test_it_finds_a_page_that_comes_later_and_one_that_comes_again(
    nano: ts.AutoEncoder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taesd_stream.live.uplink._PAUSES", (0.05,))
    monkeypatch.setattr("taesd_stream.live.live_client._SECONDS_TO_LEAVE", 0.1)
    with ts.LivePage(model=nano, port=0) as page:
        port = page.port
    with (
        caplog.at_level(logging.INFO, "taesd_stream"),
        ts.LiveClient(f"http://localhost:{port}/", queue=3) as client,
    ):
        for number in range(10):
            client.push(_latents(4, 2, 2, seed=number))
        until(lambda: client.counts.failure is not None)
        assert client.counts.sent == 0 < client.counts.dropped
        for _ in range(2):
            before = client.counts.sent
            with ts.LivePage(model=nano, port=port) as page:
                client.push(_latents(4, 2, 2))
                until(lambda: page.status.shown and client.counts.failure is None)
            assert client.counts.sent > before
            client.push(_latents(4, 2, 2))
            until(lambda: client.counts.failure is not None)
    assert client.counts.pushed == client.counts.sent + client.counts.dropped == 14
    assert sum("connected to the page" in each for each in caplog.messages) == 2
    assert 1 <= sum("cannot be reached" in each for each in caplog.messages) <= 3


def test_it_closes_although_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taesd_stream.live.live_client._SECONDS_TO_LEAVE", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = ts.LiveClient(f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr("taesd_stream.live.uplink._SECONDS_TO_OPEN", 0.1)
        client.push(_latents(4, 2, 2))
        client.close()
        client.close()
    assert (client.counts.sent, client.counts.dropped) == (0, 1)
    with pytest.raises(ts.InputError, match="client: it is closed"):
        client.push(_latents(4, 2, 2))


def test_a_token_is_shown_and_its_want_is_said_in_the_pages_words(nano: ts.AutoEncoder) -> None:
    with ts.LivePage(model=nano, port=0, token="a-token-of-mine") as page:
        bare = page.url.partition("?")[0]
        with ts.LiveClient(page.url) as client:
            client.push(_latents(4, 2, 2))
        assert client.counts.sent == 1
        with ts.LiveClient(bare, token="a-token-of-mine") as client:
            client.push(_latents(4, 2, 2))
        assert client.counts.sent == 1
        client = ts.LiveClient(bare, token="another")
        client.push(_latents(4, 2, 2))
        until(lambda: client.counts.failure is not None)
        assert "token: expected the one that was printed" in str(client.counts.failure)
        client._uplink.give_up()
        client.close()


def test_a_certificate_is_trusted_where_it_is_given(nano: ts.AutoEncoder, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    with ts.LivePage(model=nano, port=0, certificate=certificate, private_key=key) as page:
        assert page.url.startswith("https://127.0.0.1:")
        with ts.LiveClient(page.url, certificate=certificate) as client:
            client.push(_latents(4, 2, 2))
        assert client.counts.sent == 1
        client = ts.LiveClient(page.url)
        client.push(_latents(4, 2, 2))
        until(lambda: client.counts.failure is not None)
        assert "certificate verify failed" in str(client.counts.failure)
        client._uplink.give_up()
        client.close()


def test_proxies_are_not_asked_for_this_machine(
    page: ts.LivePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    with ts.LiveClient(page.url) as client:
        client.push(_latents(4, 2, 2))
    assert client.counts.sent == 1


@pytest.mark.parametrize(
    "latents",
    [
        np.zeros((4, 2, 2)),
        torch.zeros(4, 2),
        torch.zeros(1, 4, 1, 2, 2),
        torch.zeros(4, 0, 2),
        torch.zeros(0, 4, 2, 2),
        torch.zeros(4, 2, 2, dtype=torch.int32),
        torch.zeros(4, 2, 2, dtype=torch.complex64),
        torch.zeros(1).expand(4, 2048, 1024),
    ],
    ids=lambda latents: f"{latents.dtype}{tuple(latents.shape)}",
)
def test_what_is_no_latent_is_refused_at_once(latents: torch.Tensor) -> None:
    with ts.LiveClient("http://127.0.0.1:9/") as client:
        with pytest.raises(ts.InputError, match="latents: expected"):
            client.push(latents)
        assert client.counts.pushed == 0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8765/", "ws://127.0.0.1:8765/latents"),
        ("http://127.0.0.1:8765/latents?token=a", "ws://127.0.0.1:8765/latents"),
        ("https://me:secret@far.example/studio/?token=a", "wss://far.example/studio/latents"),
        ("wss://[::1]:80", "wss://[::1]:80/latents"),
    ],
)
def test_addresses_are_those_of_the_socket(url: str, expected: str) -> None:
    address = PageAddress.of(url, None, None)
    assert address.url == expected
    assert address.token == ("a" if "token" in url else None)
    assert (address.certificates is not None) == expected.startswith("wss")


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8765", "ftp://here/", "http://", "http://a:b/", "http://[::1/"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ts.InputError, match="url: expected the address of a page"):
        ts.LiveClient(url)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"token": "two\r\nlines"}, "token: expected"),
        ({"certificate": "nowhere.pem"}, "certificate: expected a PEM file"),
        ({"when_full": "never"}, "when_full: expected"),
        ({"queue": 0}, "queue: expected"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ts.InputError, match=words):
        ts.LiveClient("https://127.0.0.1:9/", **options)
