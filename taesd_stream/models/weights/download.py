"""Download one file over HTTP: resumable, verified, and never half-done under its final name."""

from __future__ import annotations

import http.client
import logging
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Final

from tqdm import tqdm

from taesd_stream.errors import DownloadError

__all__ = ["UnreachableError", "download"]

_LOGGER: Final = logging.getLogger("taesd_stream")
_CHUNK_BYTES: Final = 2**16
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_WORTH_RETRYING: Final = (408, 425, 429)
_RANGE_NOT_SATISFIABLE: Final = 416
_PARTIAL_CONTENT: Final = 206
_FIRST_SERVER_ERROR: Final = 500


class UnreachableError(DownloadError):
    """The server could not be connected to at all: the machine is probably offline."""


class _BrokenTransferError(Exception):
    """An attempt that ended early and is worth repeating."""


@dataclass(frozen=True)
class _Job:
    url: str
    part: Path
    max_bytes: int
    progress: bool | None
    timeout_seconds: float


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

    Until then bytes go to ``target`` + ".part", from which a later call resumes, also after an
    interrupt. If another process is writing there, this one uses a part file of its own.

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
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _claimed_part(target) as part:
            job = _Job(url, part, max_bytes, progress, timeout_seconds)
            was_begun = _length(part) > 0
            _transfer(job, attempts, backoff_seconds)
            problem = verify(part)
            if problem and was_begun:
                _LOGGER.warning("%s: the resumed file is wrong (%s), starting over", url, problem)
                os.truncate(part, 0)
                _transfer(job, attempts, backoff_seconds)
                problem = verify(part)
            if problem:
                part.unlink()
                raise DownloadError(
                    f"{url}: {problem}; what arrived is not what was published, and was removed"
                )
            os.replace(part, target)
    except OSError as error:
        raise DownloadError(
            f"{target}: expected to write the download here, found {error.strerror or error}; "
            "make room or choose another folder"
        ) from error


def _transfer(job: _Job, attempts: int, backoff_seconds: float) -> None:
    for attempt in range(1, attempts + 1):
        try:
            _attempt(job, is_first=attempt == 1)
            return
        except _BrokenTransferError as error:
            if attempt == attempts:
                raise DownloadError(
                    f"{job.url}: expected the whole file, found {error} at attempt {attempt} of "
                    f"{attempts}; try again later"
                ) from error
            _LOGGER.info("%s: %s, trying again", job.url, error)
        time.sleep(backoff_seconds * 2 ** (attempt - 1))


def _attempt(job: _Job, *, is_first: bool) -> None:
    """Bring the part file to its full length, from where it ends, or raise."""
    have_bytes = _length(job.part)
    headers = {"User-Agent": "taesd-stream", "Accept-Encoding": "identity"}
    if have_bytes:
        headers["Range"] = f"bytes={have_bytes}-"
    request = urllib.request.Request(job.url, headers=headers)
    try:
        response = _opener().open(request, timeout=job.timeout_seconds)
    except urllib.error.HTTPError as error:
        with error:
            _handle_status(job, error.code, error.headers, have_bytes)
        return
    except urllib.error.URLError as error:
        if is_first:
            raise UnreachableError(
                f"{job.url}: expected a connection, found {error.reason}; "
                "check the network and its proxy settings"
            ) from error
        raise _BrokenTransferError(f"no connection ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenTransferError(f"a broken connection ({error!r})") from error
    with response:
        start = _start_of(response, job, have_bytes)
        _receive(response, job, start)


def _handle_status(job: _Job, status: int, headers: Message, have_bytes: int) -> None:
    """Return if the error means that the part is whole already; raise otherwise."""
    if status == _RANGE_NOT_SATISFIABLE and have_bytes:
        if headers.get("Content-Range", "").strip() == f"bytes */{have_bytes}":
            return
        os.truncate(job.part, 0)
        raise _BrokenTransferError("HTTP status 416 (the part kept does not fit)")
    if status >= _FIRST_SERVER_ERROR or status in _WORTH_RETRYING:
        raise _BrokenTransferError(f"HTTP status {status}")
    raise DownloadError(
        f"{job.url}: expected the file, found HTTP status {status}; check the name or the mirror"
    )


def _start_of(response: http.client.HTTPResponse, job: _Job, have_bytes: int) -> int:
    """The offset in the file of the first byte of this response."""
    if response.status != _PARTIAL_CONTENT:
        return 0
    stated = response.headers.get("Content-Range", "")
    found = _CONTENT_RANGE.fullmatch(stated.strip())
    if found is None or int(found[1]) != have_bytes:
        os.truncate(job.part, 0)
        raise _BrokenTransferError(f"Content-Range {stated!r} for bytes from {have_bytes}")
    return have_bytes


def _receive(response: http.client.HTTPResponse, job: _Job, start: int) -> None:
    total = None if response.length is None else start + response.length
    if total is not None and total > job.max_bytes:
        raise DownloadError(_too_long(job, total))
    position = start
    with (
        job.part.open("ab" if start else "wb") as part,
        tqdm(
            total=total,
            initial=start,
            desc=job.url.rpartition("/")[2],
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            disable=None if job.progress is None else not job.progress,
        ) as bar,
    ):
        for chunk in _chunks(response):
            position += len(chunk)
            if position > job.max_bytes:
                break
            part.write(chunk)
            bar.update(len(chunk))
    if position > job.max_bytes:
        os.truncate(job.part, 0)
        raise DownloadError(_too_long(job, position))
    if total is not None and position != total:
        raise _BrokenTransferError(f"a connection cut at {position} of {total} bytes")


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read(_CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _BrokenTransferError(f"a broken connection ({error!r})") from error
        if not chunk:
            return
        yield chunk


def _too_long(job: _Job, found_bytes: int) -> str:
    return (
        f"{job.url}: expected at most {job.max_bytes} bytes, found at least {found_bytes}; "
        "check the address"
    )


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


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _claimed_part(target: Path) -> Iterator[Path]:
    """A part file that no other process writes: the resumable one, or else one for this call."""
    resumable = target.with_name(f"{target.name}.part")
    lock = _lock(resumable)
    if lock is None:
        own = target.with_name(f"{target.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part")
        try:
            yield own
        finally:
            own.unlink(missing_ok=True)
        return
    with lock:
        try:
            yield resumable
        finally:
            if _is_same_file(lock, resumable) and _length(resumable) == 0:
                resumable.unlink()


def _lock(part: Path) -> IO[bytes] | None:
    """Open and lock a part file; None where another holds it or where there are no such locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    while True:
        stream = part.open("ab")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.close()
            return None
        # Its last holder may have renamed it to the final name before this lock was granted.
        if _is_same_file(stream, part):
            return stream
        stream.close()


def _is_same_file(stream: IO[bytes], path: Path) -> bool:
    return path.exists() and os.path.samestat(os.fstat(stream.fileno()), path.stat())
