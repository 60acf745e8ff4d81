"""Who may use the page: hosts and origins it goes by, and the token where it is open to others."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from taesd_stream.errors import InputError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

__all__ = ["Access", "Refusal", "is_loopback", "new_token"]

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def new_token() -> str:
    """A token that nobody guesses: 128 bits."""
    return secrets.token_urlsafe(16)


def is_loopback(host: str) -> bool:
    """Whether an address or name is reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    return host.lower() in _LOOPBACK_NAMES or (_is_address(host) and _address(host).is_loopback)


@cache
def _own_names() -> frozenset[str]:
    """This machine's; asked for once, since that may take seconds."""
    own = socket.gethostname().lower()
    return frozenset({own, f"{own}.local", socket.getfqdn().lower()})


def _is_address(host: str) -> bool:
    try:
        _address(host)
    except ValueError:
        return False
    return True


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(host.strip("[]").partition("%")[0])


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered."""

    status: HTTPStatus
    reason: str


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of who may use the page.

    A page of another site that the user has open may send requests here, even under a name of its
    own that it lets lead to this machine (DNS rebinding). So a request has to name a host that is
    ours, and its origin, where it has one, has to be the page's own.

    Attributes:
        host: The address or name that is listened on.
        token: What requests have to show; None where the machine's own users need none.

    Raises:
        InputError: The token can be no part of an address, or there is none where others reach it.
    """

    host: str
    token: str | None

    def __post_init__(self) -> None:
        if self.token is None:
            if not is_loopback(self.host):
                raise InputError(
                    f"token: expected one, since others reach {self.host}, found None; leave it to"
                    " 'auto', or choose one"
                )
        elif not _TOKEN.fullmatch(self.token):
            raise InputError(
                "token: expected letters, digits, '-', '_', '.' and '~', up to 128, found"
                f" {self.token!r:.40}"
            )

    def names(self, host: str) -> bool:
        """Whether the page goes by a host's name or address.

        >>> own = Access("127.0.0.1", None)
        >>> own.names("localhost"), own.names("evil.org")
        (True, False)
        """
        host = host.lower()
        if host in _LOOPBACK_NAMES or host == self.host.lower():
            return True
        if is_loopback(self.host):
            return False
        return _is_address(host) or host in _own_names()

    def refusal(self, request: HTTPConnection, cookie: str) -> Refusal | None:
        """Why a request is refused; None if it is not.

        Args:
            cookie: The name of the cookie that holds the token.
        """
        said = request.headers.get("host", "")
        host = _parts(f"//{said}")
        if not host or not self.names(host[0]):
            return Refusal(
                HTTPStatus.FORBIDDEN,
                f"host: expected this machine's name or address, found {said!r:.80}; open the"
                " page by the address that it printed",
            )
        origin = request.headers.get("origin")
        if origin is not None and _parts(origin) != host:
            return Refusal(
                HTTPStatus.FORBIDDEN,
                f"origin: expected the page's own, found {origin!r:.80}; requests of other pages"
                " are not answered",
            )
        site, mode = (request.headers.get(f"sec-fetch-{name}") for name in ("site", "mode"))
        if site in ("cross-site", "same-site") and mode != "navigate":
            return Refusal(
                HTTPStatus.FORBIDDEN,
                "origin: expected the page's own; requests of other pages are not answered",
            )
        if self.token is not None and not self._shows_token(request, cookie):
            return Refusal(
                HTTPStatus.UNAUTHORIZED,
                "token: expected the one that was printed, as ?token=..., or in a header"
                " 'Authorization: Bearer ...'",
            )
        return None

    def _shows_token(self, request: HTTPConnection, cookie: str) -> bool:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        shown = (
            request.query_params.get("token"),
            request.cookies.get(cookie),
            bearer if scheme.lower() == "bearer" else None,
        )
        token = (self.token or "").encode()
        return any(hmac.compare_digest(each.encode(), token) for each in shown if each is not None)


def _parts(url: str) -> tuple[str, int | None] | None:
    """Host and port of a URL; None if it has none."""
    try:
        parts = urlsplit(url)
        return None if parts.hostname is None else (parts.hostname, parts.port)
    except ValueError:
        return None
