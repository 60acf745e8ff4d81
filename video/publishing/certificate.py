"""A certificate of one's own, which WebRTC begins with; made anew for each connection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from video.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_certificates", "write_certificate"]

_LIBRARY: Final = "cryptography"
_LIFE: Final = timedelta(days=30)


def check_certificates() -> None:
    """Refuse to go on without the library that makes certificates.

    Raises:
        MissingExtraError: It is not installed.
    """
    if find_spec(_LIBRARY) is None:
        raise MissingExtraError(
            f"whip: {_LIBRARY} is not installed; pip install 'taesd-stream[whip]'"
        )


def write_certificate(folder: Path) -> dict[str, str]:
    """Write a certificate and its key into a folder.

    FFmpeg's own are on a curve that receivers need not know, and OpenSSL's refuse; all know P-256.

    Returns:
        Options of FFmpeg's muxer that name them.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "taesd-stream")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFE)
        .not_valid_after(now + _LIFE)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(pem))
    key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return {"cert_file": str(certificate_file), "key_file": str(key_file)}
