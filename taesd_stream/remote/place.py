"""A file or folder at an address, and what the store says of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from taesd_stream.errors import InputError, TaesdStreamError
from taesd_stream.remote.addresses import parent_of, scheme_of, shown
from taesd_stream.remote.library import load_fsspec
from video.errors import first_line

__all__ = ["Place", "explained", "is_forbidden"]

_TELL_CONTENT: Final = ("ETag", "etag", "generation", "mtime", "LastModified", "Last-Modified")
"""What stores have in their answers that is another where the content is."""

_GONE: Final = (404, 410)
_CREDENTIALS: Final = "Credentials"
_HOW: Final = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `aws configure`",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`",
}


@dataclass(frozen=True)
class Place:
    """A file or folder at an address; it may not be there.

    Attributes:
        address: Where it is, as errors name it.
        path: The same, as the store's file system names it.
        files: The file system of fsspec.
    """

    address: str
    path: str
    files: Any

    @classmethod
    def of(cls, address: str) -> Self:
        """The place of an address; nothing is asked of the store yet.

        Raises:
            MissingExtraError: fsspec, or what it reads this store with, is not installed.
            InputError: The settings for this store make no sense.
        """
        fsspec = load_fsspec(address)
        with explained(shown(address)):
            # Without a cache of listings: what others write meanwhile is to be seen.
            files, path = fsspec.url_to_fs(address, use_listings_cache=False)
        return cls(shown(address), path, files)

    def below(self, name: str) -> Place:
        """A file or folder in this folder."""
        base = self.address.rstrip("/")
        return Place(f"{base}/{name}", f"{self.path.rstrip('/')}/{name}", self.files)

    @property
    def parent(self) -> Place:
        """The folder that it is in."""
        above = self.path.rstrip("/").rpartition("/")[0]
        return Place(parent_of(self.address), above, self.files)

    def kind(self, error: type[TaesdStreamError] = InputError) -> str | None:
        """``"file"``, ``"directory"``, or None where nothing is there.

        Raises:
            TaesdStreamError: The store does not answer, as ``error``.
        """
        with explained(self.address, error):
            try:
                return str(self.files.info(self.path)["type"])
            except FileNotFoundError as found:
                if found.__cause__ is None or scheme_of(self.address) not in {"http", "https"}:
                    return None
                if _status(found.__cause__) in _GONE:
                    return None
                raise  # a server that cannot be reached is none that has no such file

    def entries(self, error: type[TaesdStreamError] = InputError) -> dict[str, str]:
        """The names of what is in this folder, each with its kind.

        Raises:
            TaesdStreamError: The store does not tell, as ``error``.
        """
        with explained(self.address, error):
            found = self.files.ls(self.path, detail=True)
        named = {each["name"].rstrip("/").rpartition("/")[2]: each["type"] for each in found}
        return {name: kind for name, kind in named.items() if name}

    def stamp(self) -> tuple[object, ...]:
        """What the store says of the content: another one means another content."""
        found = self.files.info(self.path)
        return found.get("size"), *(str(found[key]) for key in _TELL_CONTENT if key in found)


@contextlib.contextmanager
def explained(
    address: str, error: type[TaesdStreamError] = InputError, *, to: str = "read"
) -> Iterator[None]:
    """Turn what a store, or the way to it, says into one sentence.

    Args:
        error: What it becomes.
        to: What was to be done with the address.
    """
    try:
        yield
    except (TaesdStreamError, MemoryError):
        raise
    except Exception as found:  # every store has exceptions of its own
        raise error(_words(address, to, found)) from found


def is_forbidden(error: BaseException) -> bool:
    """Whether a store says by an exception that something is not allowed.

    >>> is_forbidden(PermissionError()), is_forbidden(OSError("Forbidden: b/films"))
    (True, True)
    """
    is_told = isinstance(error, OSError) and str(error).startswith("Forbidden")  # as gcsfs does
    return is_told or isinstance(error, PermissionError) or _status(error) in {401, 403}


def _words(address: str, to: str, error: Exception) -> str:
    cause = error.__cause__
    deepest = cause if isinstance(cause, Exception) else error
    said = first_line(deepest)
    if hasattr(deepest, "status") and hasattr(deepest, "message"):  # else the whole address follows
        said = f"{deepest.status} {deepest.message}"
    place = f"{address}: expected a place to {to},"
    if any(_CREDENTIALS in type(each).__name__ for each in (error, deepest)):
        how = _HOW.get(scheme_of(address).replace("gcs", "gs"), "those of its owner")
        return f"{place} found no credentials ({said}): set {how}"
    if is_forbidden(error) or is_forbidden(deepest):
        return f"{place} found that it is not allowed ({said}): check credentials and rights"
    if isinstance(error, FileNotFoundError) and deepest is error:
        return f"{place} found none: check the address"
    if "does not exist" in said or _status(deepest) in _GONE:
        return f"{place} found none ({said}): check the address"
    return (
        f"{place} found {type(deepest).__name__} ({said}): check the address, the network and the"
        " settings of the store"
    )


def _status(error: BaseException) -> object:
    """The status by which a server has refused; None where it is none that has."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):  # of botocore
        return answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return error.status if hasattr(error, "status") else getattr(error, "code", None)
