"""Download one file over HTTP: verified, and never half-done under its final name."""

from __future__ import annotations

import http.client
import logging
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock
from tqdm import tqdm

from taesd_stream.errors import DownloadError, InputError
from video.safe_files.part_file import PartFile

__all__ = ["UnreachableError", "download"]

_LOGGER: Final = logging.getLogger("taesd_stream")
_CHUNK_BYTES: Final = 2**16
_WORTH_RETRYING: Final = (408, 425, 429)
_FIRST_SERVER_ERROR: Final = 500


class UnreachableError(DownloadError):
    """The server could not be connected to at all: the machine is probably offline."""


class _BrokenTransferError(Exception):
    """An attempt that ended early and is worth repeating."""


@dataclass(frozen=True)
class _Job:
    url: str
    max_bytes: int
    progress: bool | None
    timeout_seconds: float
    attempts: int
    backoff_seconds: float


def download(
    url: str,
    target: Path,
    *,
    verify: Callable[[Path], str | None],
    max_bytes: int = 2 * 2**30,
    progress: bool | None = None,
    timeout_seconds: float = 30.0,
    attempts: int = 4,
    backoff_seconds: float = 0.5,
) -> None:
    """Download ``url`` to ``target``, replacing what was there once the new file is verified.

    Until then bytes go to a part file beside it, which is removed if they do not arrive. Of several
    processes that ask for the same target one downloads, and the others wait for it.

    Args:
        url: http or https.
        target: the final name; missing folders are made.
        verify: returns None for a file that is what it should be, else what was expected and found.
        max_bytes: refuse anything longer.
        progress: show a bar on standard error: None means if that is a terminal.
        timeout_seconds: longest wait for a connection or for its next bytes.
        attempts: how often to connect before giving up on broken connections and server errors.
        backoff_seconds: wait before the second attempt; doubled for each further one.

    Raises:
        UnreachableError: no connection could be made.
        DownloadError: the scheme is refused, the server answers with an error or too many bytes,
            every attempt broke off, the content does not verify, or it cannot be written.

    >>> download("file:///etc/hostname", Path("hostname"), verify=lambda path: None)
    Traceback (most recent call last):
        ...
    taesd_stream.DownloadError: file:///etc/hostname: expected an http or https address, \
found 'file'; give a local path where a path is asked for
    """
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise DownloadError(
            f"{url}: expected an http or https address, found {scheme!r}; "
            "give a local path where a path is asked for"
        )
    job = _Job(url, max_bytes, progress, timeout_seconds, attempts, backoff_seconds)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target):
            if not target.is_file() or verify(target):  # else another process was faster
                _fetch(job, target, verify)
    except (OSError, InputError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DownloadError(
            f"{target}: expected to write the download here, found {reason}; "
            "make room or choose another folder"
        ) from error


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Let one process at a time download to ``target``."""
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    # On a file system without locks several may download: each has a part file of its own.
    with suppress(OSError, NotImplementedError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch(job: _Job, target: Path, verify: Callable[[Path], str | None]) -> None:
    with PartFile(target) as part:
        _transfer(job, part.path)
        problem = verify(part.path)
        if problem:
            raise DownloadError(
                f"{job.url}: {problem}; what arrived is not what was published, and was removed"
            )
        part.publish(overwrite=True)


def _transfer(job: _Job, part: Path) -> None:
    for attempt in range(1, job.attempts + 1):
        try:
            with _response(job, is_first=attempt == 1) as response:
                _receive(response, job, part)
            return
        except _BrokenTransferError as error:
            if attempt == job.attempts:
                raise DownloadError(
                    f"{job.url}: expected the whole file, found {error} at attempt {attempt} of "
                    f"{job.attempts}; try again later"
                ) from error
            _LOGGER.info("%s: %s, trying again", job.url, error)
        time.sleep(job.backoff_seconds * 2 ** (attempt - 1))


def _response(job: _Job, *, is_first: bool) -> http.client.HTTPResponse:
    headers = {"User-Agent": "taesd-stream", "Accept-Encoding": "identity"}
    request = urllib.request.Request(job.url, headers=headers)
    try:
        response: http.client.HTTPResponse = _opener().open(request, timeout=job.timeout_seconds)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code >= _FIRST_SERVER_ERROR or error.code in _WORTH_RETRYING:
            raise _BrokenTransferError(f"HTTP status {error.code}") from error
        raise DownloadError(
            f"{job.url}: expected the file, found HTTP status {error.code}; "
            "check the name or the mirror"
        ) from error
    except urllib.error.URLError as error:
        if is_first:
            raise UnreachableError(
                f"{job.url}: expected a connection, found {error.reason}; "
                "check the network and its proxy settings"
            ) from error
        raise _BrokenTransferError(f"no connection ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenTransferError(f"a broken connection ({error!r})") from error
    return response


def _receive(response: http.client.HTTPResponse, job: _Job, part: Path) -> None:
    total = response.length
    position = 0
    with (
        part.open("wb") as file,
        tqdm(
            total=total,
            desc=job.url.rpartition("/")[2],
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            disable=None if job.progress is None else not job.progress,
        ) as bar,
    ):
        _check_length(job, total or 0)
        for chunk in _chunks(response):
            position += len(chunk)
            _check_length(job, position)
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and position != total:
        raise _BrokenTransferError(f"a connection cut at {position} of {total} bytes")


def _check_length(job: _Job, found_bytes: int) -> None:
    if found_bytes > job.max_bytes:
        raise DownloadError(
            f"{job.url}: expected at most {job.max_bytes} bytes, found at least {found_bytes}; "
            "check the address"
        )


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read(_CHUNK_BYTES):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenTransferError(f"a broken connection ({error!r})") from error


def _opener() -> urllib.request.OpenerDirector:
    """urllib's usual opener without the schemes to which a redirect must not lead."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener
