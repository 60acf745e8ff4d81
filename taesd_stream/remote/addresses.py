"""Addresses of files elsewhere, told from paths by how they begin."""

from __future__ import annotations

import re
from typing import Final, TypeGuard

__all__ = ["SCHEMES", "can_be_written", "is_address", "name_at", "parent_of", "scheme_of", "shown"]

SCHEMES: Final = ("s3", "gs", "gcs", "https", "http")
"""What an address begins with, before ``://``."""

_WRITTEN: Final = ("s3", "gs", "gcs")
_ADDRESS: Final = re.compile(rf"({'|'.join(SCHEMES)})://")


def is_address(place: object) -> TypeGuard[str]:
    r"""Whether it is the address of a file elsewhere: a string that begins with a scheme.

    >>> [is_address(each) for each in ("s3://films/z.pt", "https://example.org/z.pt")]
    [True, True]
    >>> [is_address(each) for each in (r"C:\z.pt", "12:30.mp4", "s3:/z.pt", "file:///z.pt")]
    [False, False, False, False]
    """
    return isinstance(place, str) and _ADDRESS.match(place) is not None


def scheme_of(address: str) -> str:
    """What an address begins with.

    >>> scheme_of("gs://films/z.pt")
    'gs'
    """
    return address.partition("://")[0]


def can_be_written(address: str) -> bool:
    """Whether files can be made there: what a web server has can only be read."""
    return scheme_of(address) in _WRITTEN


def name_at(address: str) -> str:
    """The last part of an address, without what a web server is asked beside it.

    >>> name_at("s3://films/a/z_%05d.npy"), name_at("s3://films/frames/")
    ('z_%05d.npy', 'frames')
    >>> name_at("https://example.org/z.pt?download=true#top")
    'z.pt'
    """
    return _path_of(address).rstrip("/").rpartition("/")[2]


def parent_of(address: str) -> str:
    """The address of the folder that something is in.

    >>> parent_of("s3://films/a/z.npy"), parent_of("s3://films/z.npy")
    ('s3://films/a', 's3://films')
    """
    return address.rstrip("/").rpartition("/")[0]


def shown(address: str) -> str:
    """An address as messages have it: without what may be secret.

    >>> shown("https://me:word@example.org/z.pt?signature=1234")
    'https://example.org/z.pt'
    """
    if scheme_of(address) not in {"http", "https"}:
        return address
    plain = re.split(r"[?#]", address, maxsplit=1)[0]
    return re.sub(r"//[^/@]*@", "//", plain)


def _path_of(address: str) -> str:
    """All of an address behind the bucket or the host."""
    scheme, _, rest = address.partition("://")
    if scheme in {"http", "https"}:
        rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    return rest.partition("/")[2]
