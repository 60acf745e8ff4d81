"""The address that a page is served at."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taesd_stream.errors import InputError

__all__ = ["Place"]

_BACKLOG: Final = 128


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens.

    Attributes:
        host: An address or name of this machine.
        port: 0 is any that is free.
        certificate: A PEM file with the certificate, for https; None is http.
        private_key: A PEM file with its key; None where ``certificate`` holds it.
    """

    host: str
    port: int
    certificate: Path | None = None
    private_key: Path | None = None

    def listen(self) -> socket.socket:
        """A socket that listens there.

        Raises:
            InputError: It cannot.
        """
        if not 0 <= self.port < 1 << 16:
            raise InputError(f"port: expected 0 to 65535, found {self.port}")
        try:
            family, kind, _, _, address = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except OSError as error:
            raise InputError(
                f"host: expected an address or name of this machine, found {self.host!r:.80}"
                f" ({error.strerror})"
            ) from error
        listening = socket.socket(family, kind)
        try:
            if os.name == "posix":  # elsewhere it would take the port of another program
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            raise self._cannot_listen(error) from error
        listening.setblocking(False)
        return listening

    def _cannot_listen(self, error: OSError) -> InputError:
        if error.errno == errno.EADDRINUSE:
            return InputError(
                f"port: expected a free one, found {self.port} on {self.host} taken by another"
                " program (which one cannot be told from here); choose another with --port (port="
                " in Python), or 0 for any that is free"
            )
        return InputError(
            f"host: expected one to listen on, found {self.host} port {self.port} that cannot be"
            f" ({error.strerror}); choose others with --host and --port (host= and port= in Python)"
        )

    def check_certificate(self) -> None:
        """Refuse a certificate that cannot be used.

        Raises:
            InputError: That.
        """
        if self.certificate is None:
            if self.private_key is not None:
                raise InputError(
                    "private_key: expected a certificate with it, found none; give it with"
                    " --certificate (certificate= in Python)"
                )
            return
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.private_key)
        except (OSError, ssl.SSLError) as error:
            said = error.strerror or str(error)
            raise InputError(
                "certificate: expected a PEM file with a certificate and its key, found"
                f" {str(self.certificate)!r} ({said}); give a key in"
                " another file with --private-key (private_key= in Python)"
            ) from error
