"""The workers of a job: they are started, given units, watched, and replaced when they die."""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from taesd_stream.errors import OutputError, TaesdStreamError
from taesd_stream.jobs.cluster.dispatch import Dispatch
from taesd_stream.jobs.cluster.joined_cluster import Cluster
from taesd_stream.jobs.cluster.sharing import Piece
from taesd_stream.jobs.cluster.units import Content
from taesd_stream.jobs.cluster.worker import Sees, Worker

__all__ = ["Crew", "Order"]

_log = logging.getLogger("taesd_stream")

_LOOK_SECONDS = 0.5
_COUNT_SECONDS = 10.0
_SILENT_SECONDS = 60.0
_MOST_STILLBORN = 10


@dataclass(slots=True)
class _Member:
    """A worker as it is known here.

    Attributes:
        number: No other has it, nor will have.
        name: The same, in words.
        actor: Ray's handle.
        sees: What it shares with this process; None until it is ready.
        unit: What it makes; None if nothing.
        part: How much of that is made.
    """

    number: int
    name: str
    actor: Any
    sees: Sees | None = None
    unit: int | None = None
    part: float = 0.0


class Order(NamedTuple):
    """What the workers of a crew are there for.

    Attributes:
        prepare: The arguments of ``Worker.prepare``.
        needed_by: The numbers of what a unit is made of.
        piece_of: These, for a worker that does not see them.
        take: Told of a unit that is made, first of all, what was brought along, and by whom.
        on_progress: Told how many units are done, parts of them included; called often.
        folder: Where workers leave what is half done, in folders of their names.
    """

    prepare: tuple[object, ...]
    needed_by: Callable[[int], range]
    piece_of: Callable[[range], Piece]
    take: Callable[[int, Content, str], None]
    on_progress: Callable[[float], None]
    folder: Path


class Crew:
    """Workers on a cluster, as many as there is room for; use as a context manager.

    Args:
        cluster: Where they work.
        order: What they do.
    """

    def __init__(self, cluster: Cluster, order: Order) -> None:
        self._cluster, self._order = cluster, order
        ray = cluster.ray
        self._class = ray.remote(max_concurrency=2, max_restarts=0, **cluster.resources)(Worker)
        self._prepare = [ray.put(each) for each in order.prepare]
        self._members: dict[int, _Member] = {}
        self._numbers = iter(range(1 << 62))
        self._running: dict[Any, _Member] = {}
        self._parts: dict[Any, _Member] = {}
        self._counted = self._heard = time.monotonic()
        self._stillborn = 0
        self._sent: tuple[range, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in list(self._members.values()):
            self._dismiss(member)

    def carry_out(self, dispatch: Dispatch, done: int) -> None:
        """Have all units made.

        Args:
            dispatch: Hands them out.
            done: How many others are there already.

        Raises:
            TaesdStreamError: What a worker has raised, three times for the same unit.
            UnitLostError: A unit costs every worker its life.
        """
        self._hire()
        while not dispatch.is_over:
            self._give_work(dispatch)
            for ref in self._finished():
                member = self._running.pop(ref)
                with self._watching(member, dispatch):
                    done += self._take(member, self._cluster.ray.get(ref), dispatch)
            self._order.on_progress(done + self._look_at_parts())
            self._hire()

    def _finished(self) -> list[Any]:
        """Those calls that have come to an end."""
        if not self._running:
            time.sleep(_LOOK_SECONDS)
            return []
        refs = list(self._running)
        found: list[Any]
        found, _ = self._cluster.ray.wait(refs, num_returns=1, timeout=_LOOK_SECONDS)
        if any(each.sees for each in self._members.values()):
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > _SILENT_SECONDS:
            self._heard = time.monotonic()
            _log.warning(
                "cluster: no worker is ready yet; others may be using its %s",
                "GPUs" if self._cluster.device == "cuda" else "cores",
            )
        return found

    @contextlib.contextmanager
    def _watching(self, member: _Member, dispatch: Dispatch) -> Iterator[None]:
        """Tell a worker that has died from one that has failed."""
        errors = self._cluster.ray.exceptions
        try:
            yield
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, BaseException) else error
            if isinstance(cause, OSError):
                cause = OutputError(f"cluster: {member.name} could not write or read: {cause}")
            if member.unit is None:
                raise cause from None
            unit, member.unit = member.unit, None
            _log.info("cluster: unit %d failed on %s: %s", unit, member.name, cause)
            dispatch.failed(member.number, unit, cause)
        except errors.RayError as error:
            words = (str(error).strip() or repr(error)).splitlines()[0]
            _log.info("cluster: %s is gone: %s", member.name, words)
            self._stillborn += member.sees is None
            if self._stillborn >= _MOST_STILLBORN:
                raise TaesdStreamError(
                    f"cluster: {self._stillborn} workers have died before they were ready: {words};"
                    " see that every node has taesd-stream, and memory for the model"
                ) from error
            self._dismiss(member)
            dispatch.lost(member.number)

    def _take(self, member: _Member, result: Any, dispatch: Dispatch) -> int:
        """Take what a call has returned; how many units more are done."""
        if member.unit is None:
            member.sees, self._stillborn = Sees(*result), 0
            return 0
        unit, member.unit, member.part = member.unit, None, 0.0
        if not dispatch.done(member.number, unit):
            return 0
        self._order.take(unit, result, member.name)
        return 1

    def _give_work(self, dispatch: Dispatch) -> None:
        for member in self._members.values():
            if member.sees is None or member.unit is not None:
                continue
            unit = dispatch.next_for(member.number)
            if unit is None:
                continue
            piece = None if member.sees.source else self._put(self._order.needed_by(unit))
            member.unit, member.part = unit, 0.0
            self._running[member.actor.make.remote(unit, piece)] = member

    def _put(self, numbers: range) -> Any:
        """Where workers find a piece: one that several units in a row need is sent once."""
        if self._sent is None or self._sent[0] != numbers:
            self._sent = None  # first, since a piece may be large
            self._sent = numbers, self._cluster.ray.put(self._order.piece_of(numbers))
        return self._sent[1]

    def _look_at_parts(self) -> float:
        """The units that are being made, as parts."""
        ray = self._cluster.ray
        if self._parts:
            ready, _ = ray.wait(list(self._parts), num_returns=len(self._parts), timeout=0)
            for ref in ready:
                member = self._parts.pop(ref)
                with contextlib.suppress(ray.exceptions.RayError):
                    member.part = ray.get(ref)
        asked = {id(member) for member in self._parts.values()}
        for member in self._members.values():
            if member.unit is not None and id(member) not in asked:
                self._parts[member.actor.part.remote()] = member
        parts: dict[int, float] = {}
        for member in self._members.values():
            if member.unit is not None:
                parts[member.unit] = max(member.part, parts.get(member.unit, 0.0))
        return sum(parts.values())

    def _hire(self) -> None:
        """Have as many workers as there is room for; those whose node is not there yet wait."""
        now = time.monotonic()
        if self._members and now - self._counted < _COUNT_SECONDS:
            return
        self._counted = now
        while len(self._members) < self._cluster.workers:
            number = next(self._numbers)
            name = f"worker-{number}-{secrets.token_hex(4)}"
            member = _Member(number, name, self._class.remote(name))
            self._members[number] = member
            self._running[member.actor.prepare.remote(*self._prepare)] = member

    def _dismiss(self, member: _Member) -> None:
        """Let go of a worker and of what it has left half done."""
        self._members.pop(member.number, None)
        self._running = {ref: each for ref, each in self._running.items() if each is not member}
        self._parts = {ref: each for ref, each in self._parts.items() if each is not member}
        with contextlib.suppress(Exception):  # it is dead already, or its cluster is
            self._cluster.ray.kill(member.actor)
        shutil.rmtree(self._order.folder / member.name, ignore_errors=True)
        self._counted = -math.inf
