"""``LiveClient``: latents of a program that runs, sent to a page that shows them."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from taesd_stream.errors import InputError
from taesd_stream.live.extra import check_extra
from taesd_stream.live.page_address import PageAddress
from taesd_stream.live.pushed_latents import MOST_UPLOAD_BYTES, latent_bytes
from taesd_stream.sinks.failing import failure_of
from taesd_stream.sinks.latent_taking import take_latents
from taesd_stream.sinks.queueing import Queueing, WhenFull
from video.background import WriteBehind
from video.closing import Closing

__all__ = ["ClientCounts", "LiveClient"]

_log = logging.getLogger("taesd_stream")

_MOST_WAITING: Final = 8
_SECONDS_TO_LEAVE: Final = 5.0
_MOST_TOLD: Final = 8
_ROOM_FOR_HEADER: Final = 1024
_DTYPES: Final = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True, slots=True)
class ClientCounts:
    """What became of latents that were pushed.

    Attributes:
        pushed: Those that the client was given.
        sent: Of these, those that the page has taken.
        dropped: Of these, those that it has not: there was no time for them, they were refused, or
            they were under way when the connection was lost.
        failure: Why the latest of them were not taken, or why the page cannot be reached; None if
            all is well.
    """

    pushed: int = 0
    sent: int = 0
    dropped: int = 0
    failure: str | None = None


class LiveClient(Closing):
    """Sends latents to a page that decodes and shows them, from this program to another.

    A context manager. What is pushed is copied at once and sent by a thread: neither a GPU nor the
    network is waited for. Where the page is away, or starts again, the program goes on, and the
    client finds it again by itself; what happened is told once in the log, and in ``counts``.

    Args:
        url: The page's address, as it printed it.
        token: What the page wants to be shown, if that is not part of ``url``.
        certificate: A PEM file with the page's certificate, where the system does not trust it.
        when_full: What happens when latents come faster than they can be sent or decoded: "drop"
            some of them, so that the program never waits and what is shown is new, or "wait".
        queue: How many latents may wait; None is 8.

    Raises:
        InputError: An argument makes no sense.
        MissingExtraError: websockets is not installed.

    >>> with LiveClient("http://127.0.0.1:8765/") as client:
    ...     client.counts.pushed
    0
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        certificate: str | os.PathLike[str] | None = None,
        when_full: WhenFull = "drop",
        queue: int | None = None,
    ) -> None:
        self._queueing = Queueing(when_full, queue)
        address = PageAddress.of(url, token, None if certificate is None else Path(certificate))
        check_extra("websockets")
        from taesd_stream.live.uplink import Uplink

        self._counts, self._turn = ClientCounts(), threading.Lock()
        self._told: set[str] = set()
        self._uplink = Uplink(address, when_full, self._heard, self._lost)
        self._working = WriteBehind(self._send_all, most=queue or _MOST_WAITING)
        self._process, self._is_closed = os.getpid(), False
        atexit.register(self.close)

    @property
    def counts(self) -> ClientCounts:
        """What became so far of what was pushed."""
        return self._counts

    def push(self, latents: Tensor) -> None:
        """Send a latent, or several.

        Args:
            latents: (C, h, w), or (T, C, h, w) for T of them, one after the other; floats on any
                device. They may be changed afterwards.

        Raises:
            InputError: They are no latents, or larger than a page takes; or the client is closed.
        """
        self._check_open()
        pictures = _checked(latents)
        bring, count, dropped = take_latents(pictures), len(pictures), 0
        for number in range(count):
            one: Callable[[], Tensor] = partial(_one_of, bring, number)
            dropped += self._queueing.put(self._working, one)
        self._count(pushed=count, dropped=dropped)

    def close(self) -> None:
        """Send what waits, for up to five seconds; a second call does nothing.

        A connection that is being opened is waited for, for up to five seconds more.
        """
        if self._is_closed or os.getpid() != self._process:
            return
        self._is_closed = True
        atexit.unregister(self.close)
        patience = threading.Timer(_SECONDS_TO_LEAVE, self._uplink.give_up)
        patience.daemon = True
        try:
            try:
                patience.start()
            except RuntimeError:  # a program that ends may begin no thread
                self._uplink.give_up()
            self._working.finish()
        finally:
            patience.cancel()

    def _send_all(self, latents: Iterator[Callable[[], Tensor]]) -> None:
        for bring in latents:
            try:
                data = latent_bytes(bring())
            except Exception as error:  # of a GPU, say
                self._heard(0, 1, failure_of(error))
            else:
                self._uplink.send(data, 1)
        self._uplink.close()

    def _heard(self, taken: int, dropped: int, failure: str | None) -> None:
        """The page has answered, or cannot."""
        self._count(sent=taken, dropped=dropped, failure=failure)
        if failure is not None:
            self._tell(f"latents were not taken: {failure}")

    def _lost(self, failure: str | None) -> None:
        """The page cannot be reached, or it can be."""
        self._count(failure=failure)
        if failure is not None:
            self._tell(f"the page cannot be reached, latents are dropped until it is: {failure}")
        elif self._told:
            self._told.clear()
            _log.info("live: connected to the page")

    def _tell(self, words: str) -> None:
        """Log something once, as long as the connection lasts, or as there is none."""
        if words not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(words)
            _log.warning("live: %s", words)

    def _count(
        self, *, pushed: int = 0, sent: int = 0, dropped: int = 0, failure: str | None = None
    ) -> None:
        """Add to the counts; what was pushed or dropped to make room says nothing of failures."""
        with self._turn:
            was = self._counts
            is_old = failure is None and not sent and bool(pushed or dropped)
            self._counts = ClientCounts(
                was.pushed + pushed,
                was.sent + sent,
                was.dropped + dropped,
                was.failure if is_old else failure,
            )

    def _check_open(self) -> None:
        if os.getpid() != self._process:
            raise InputError(
                f"client: expected use in process {self._process}, which opened it, found process"
                f" {os.getpid()}, forked from it; open another client here"
            )
        if self._is_closed:
            raise InputError("client: it is closed, and sends no more; open another")


def _one_of(bring: Callable[[], Tensor], number: int) -> Tensor:
    return bring()[number]


def _checked(latents: object) -> Tensor:
    """Latents as (T, C, h, w)."""
    expected = "latents: expected a tensor (C, h, w) or (T, C, h, w) of floats"
    if not isinstance(latents, Tensor):
        raise InputError(f"{expected}, found {type(latents).__name__}")
    if latents.dim() not in (3, 4) or not latents.numel() or latents.dtype not in _DTYPES:
        raise InputError(f"{expected}, found {latents.dtype} {tuple(latents.shape)}")
    pictures = latents if latents.dim() == 4 else latents[None]
    size = pictures[0].numel() * pictures.element_size()
    if size > MOST_UPLOAD_BYTES - _ROOM_FOR_HEADER:
        raise InputError(
            f"latents: expected up to {MOST_UPLOAD_BYTES >> 20} MiB each, which a page takes, found"
            f" {size >> 20} MiB"
        )
    return pictures
