"""Who may use a page: hosts, origins, tokens, certificates and ports."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

import taesd_stream as ts
from taesd_stream.live.access import Access, is_loopback, new_token
from tests.live.asking import ask
from tests.live.certificates import write_certificate

_COOKIE = "cookie"


def _refused(access: Access, query: str = "", **headers: str) -> int | None:
    named = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    scope = {"type": "http", "headers": named, "query_string": query.encode()}
    refusal = access.refusal(HTTPConnection(scope), _COOKIE)
    return None if refusal is None else int(refusal.status)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8765", "[::1]:80", "LOCALHOST:1"])
def test_a_page_goes_by_this_machines_names(host: str) -> None:
    own = Access("127.0.0.1", None)
    assert _refused(own, host=host) is None
    assert _refused(own, host=host, origin=f"http://{host}") is None
    assert _refused(own, host=host, origin="http://example.org") == 403


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.org",
        "127.0.0.1.evil.org",
        "localhost.evil.org:80",
        "192.168.1.2",
        "[",
        "a:b",
        "::",
    ],
)
def test_and_by_no_other(host: str) -> None:
    assert _refused(Access("127.0.0.1", None), host=host) == 403


def test_one_for_others_goes_by_addresses_and_this_machines_name_and_no_foreign_one() -> None:
    open_to_all = Access("0.0.0.0", "token")
    for host in ("192.168.1.2:80", f"{socket.gethostname()}:80", "[fe80::1]:80"):
        assert _refused(open_to_all, "token=token", host=host) is None
    assert _refused(open_to_all, "token=token", host="evil.org") == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_lead_here_and_nothing_else(site: str) -> None:
    own = Access("127.0.0.1", None)
    for mode, refused in (("navigate", None), ("no-cors", 403), ("websocket", 403)):
        found = _refused(own, host="localhost", sec_fetch_site=site, sec_fetch_mode=mode)
        assert found == refused
    assert (
        _refused(own, host="localhost", sec_fetch_site="same-origin", sec_fetch_mode="cors") is None
    )


def test_a_token_is_shown_in_one_of_three_ways() -> None:
    access = Access("127.0.0.1", "right")
    assert _refused(access, host="localhost") == 401
    for token, refused in (("right", None), ("wrong", 401), ("righ", 401), ("", 401), ("é", 401)):
        assert _refused(access, f"token={token}", host="localhost") == refused
        assert _refused(access, host="localhost", cookie=f"{_COOKIE}={token}") == refused
        assert _refused(access, host="localhost", authorization=f"Bearer {token}") == refused
    assert _refused(access, host="localhost", authorization="Basic right") == 401
    assert _refused(access, host="localhost", cookie="another=right") == 401


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30), st.binary(max_size=30))
@settings(max_examples=60, deadline=None)
def test_nothing_at_all_gets_by_without_the_token(
    host: str, origin: str, authorization: str, query: bytes
) -> None:
    given = {"host": host, "origin": origin, "authorization": authorization, "cookie": origin}
    scope = {
        "type": "http",
        "headers": [(name.encode(), text.encode()) for name, text in given.items()],
        "query_string": query,
    }
    assert Access("0.0.0.0", new_token()).refusal(HTTPConnection(scope), _COOKIE) is not None


@pytest.mark.parametrize("token", ["", "a b", "ü", "a\r\nb", "a;b", "a" * 129])
def test_a_token_that_fits_no_address_is_refused(token: str) -> None:
    with pytest.raises(ts.InputError, match="token: expected letters"):
        ts.LivePage(port=0, token=token)


def test_others_need_a_token_and_get_a_new_one_each_time() -> None:
    with pytest.raises(ts.InputError, match="token: expected one, since others reach"):
        ts.LivePage(port=0, host="0.0.0.0", token=None)
    tokens = set()
    for _ in range(2):
        with ts.LivePage(port=0, host="0.0.0.0") as page:
            assert page.url == f"http://127.0.0.1:{page.port}/?token={page.token}"
            assert ask(page.port, "/status.json").status == 401
            assert ask(page.port, f"/status.json?token={page.token}").status == 200
            tokens.add(page.token)
    assert len(tokens) == 2
    with ts.LivePage(port=0) as page:
        assert page.token is None


def test_the_token_goes_from_the_address_into_a_cookie() -> None:
    with ts.LivePage(port=0, token="mine") as page:
        assert ask(page.port, "/").status == 401
        answer = ask(page.port, "/?token=mine")
        assert (answer.status, answer.headers["location"]) == (303, "/")
        said = answer.headers["set-cookie"]
        assert {"httponly", "samesite=lax"} <= {part.strip().lower() for part in said.split(";")}
        assert ask(page.port, "/", headers={"Cookie": said.partition(";")[0]}).status == 200


def test_answers_keep_browsers_to_the_page() -> None:
    with ts.LivePage(port=0) as page:
        for path in ("/", "/status.json", "/nothing"):
            headers = ask(page.port, path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert "server" not in headers


@given(st.ip_addresses())
@settings(max_examples=50, deadline=None)
def test_loopback_is_what_the_standard_says(address: object) -> None:
    assert is_loopback(str(address)) == address.is_loopback  # type: ignore[attr-defined]


def test_a_port_that_is_taken_is_told_of_with_what_to_do() -> None:
    with ts.LivePage(port=0) as page, pytest.raises(ts.InputError) as caught:
        ts.LivePage(port=page.port)
    assert str(caught.value) == (
        f"port: expected a free one, found {page.port} on 127.0.0.1 taken by another program (which"
        " one cannot be told from here); choose another with --port (port= in Python), or 0 for any"
        " that is free"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": 70_000}, "port: expected 0 to 65535"),
        ({"host": "no.such.host.invalid"}, "host: expected an address or name of this machine"),
        ({"host": "192.0.2.1"}, "host: expected one to listen on"),
        ({"certificate": "nowhere.pem"}, "certificate: expected a PEM file"),
        ({"certificate": __file__}, "certificate: expected a PEM file"),
    ],
)
def test_places_that_cannot_be_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ts.InputError, match=words):
        ts.LivePage(**{"port": 0, **options})


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    with pytest.raises(ts.InputError, match="with a certificate and its key"):
        ts.LivePage(port=0, certificate=certificate)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    with ts.LivePage(port=0, certificate=both) as page:
        assert page.url.startswith("https://")
