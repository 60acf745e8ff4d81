"""The address of a page, as those have it who push latents to it."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qs, urlsplit

from taesd_stream.errors import InputError
from taesd_stream.live.access import is_loopback

__all__ = ["PageAddress"]

_SOCKETS: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_PATH: Final = "/latents"
_TOKEN: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class PageAddress:
    """The address of a page that takes latents.

    Attributes:
        url: Of its WebSocket for latents, without the token.
        token: What has to be shown there; None for nothing.
        is_here: Whether it is on this machine, as far as its name tells.
        certificates: Those that are trusted, for TLS; None without it.
    """

    url: str
    token: str | None
    is_here: bool
    certificates: ssl.SSLContext | None

    @classmethod
    def of(cls, url: str, token: str | None, certificate: Path | None) -> Self:
        """The address that a page prints, or that of its ``latents``.

        Args:
            url: With the token in it, or without.
            token: None is that of ``url``, or none.
            certificate: A PEM file with the one to trust; None is those that the system trusts.

        Raises:
            InputError: The address is none, or the certificate cannot be read.

        >>> page = PageAddress.of("http://127.0.0.1:8765/?token=abc", None, None)
        >>> page.url, page.token
        ('ws://127.0.0.1:8765/latents', 'abc')
        """
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in _SOCKETS:
            raise InputError(
                "url: expected the address of a page, such as 'http://127.0.0.1:8765/', found"
                f" {url!r:.80}"
            )
        shown = token or parse_qs(parts.query).get("token", [None])[0]
        if shown is not None and not _TOKEN.fullmatch(shown):
            raise InputError("token: expected the one that the page printed, found another kind")
        scheme = _SOCKETS[parts.scheme]
        path = parts.path.removesuffix(_PATH).rstrip("/") + _PATH
        return cls(
            f"{scheme}://{parts.netloc.rpartition('@')[2]}{path}",
            shown,
            is_loopback(host),
            _trusted(certificate) if scheme == "wss" else None,
        )


def _trusted(certificate: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=certificate)
    except OSError as error:
        raise InputError(
            "certificate: expected a PEM file with the page's certificate, found"
            f" {str(certificate)!r} ({error.strerror or error})"
        ) from error
