"""Tiles computed side by side, each on one core, from one queue.

Where all cores work at one tile, each of its kernels ends when the slowest of them has done its
share; with a second program at work, that is the core that it holds. Where every core has a tile of
its own, nobody waits for anybody, and a slow core just does fewer tiles.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import torch

from taesd_stream.engine.cores import WAITING_PER_THREAD, keeping_to
from tiling import TilePlan
from video.background import Room, Worker

__all__ = ["Stretch", "as_they_come", "in_order", "shared_out"]

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")


class Stretch(Generic[T]):
    """Work that one thread does bit by bit, until another one takes over the later half of it.

    Args:
        items: What is worked at, in order.
        work: Makes pieces of items that it is given; it may keep something from one item to the
            next.

    >>> stretch = Stretch(range(4), lambda items: (10 * item for item in items))
    >>> pieces = iter(stretch)
    >>> next(pieces), list(stretch.split()), list(pieces), stretch.split()
    (0, [20, 30], [10], None)
    """

    def __init__(self, items: Sequence[I], work: Callable[[Iterator[I]], Iterator[T]]) -> None:
        self._left: deque[Any] = deque(items)
        self._work: Callable[[Iterator[Any]], Iterator[T]] = work
        self._taking = threading.Lock()

    def __len__(self) -> int:
        """How many items nobody has begun."""
        return len(self._left)

    def __iter__(self) -> Iterator[T]:
        return self._work(self._taken())

    def split(self) -> Stretch[T] | None:
        """The later half of what is left, which this one no longer has; None if nothing is left."""
        with self._taking:
            later = [self._left.pop() for _ in range((len(self._left) + 1) // 2)]
        return Stretch(later[::-1], self._work) if later else None

    def _taken(self) -> Iterator[Any]:
        while True:
            with self._taking:
                if not self._left:
                    return
                item = self._left.popleft()
            yield item


def _nothing() -> None:
    pass


def in_order(
    stretches: Iterable[Stretch[T]],
    threads: int,
    cores: int = 1,
    *,
    then: Callable[[], None] = _nothing,
    until: Room | None = None,
) -> Generator[T]:
    """All pieces of the first stretch, then those of the second, and so on.

    What a stretch raises is raised here after all that comes before it.

    Args:
        stretches: In order; at least one.
        threads: How many of them, or of their halves, are done side by side.
        cores: How many cores each of them is computed on.
        then: Called by each thread when it finds none left to do.
        until: Closed when nobody wants any more, before threads are waited for.

    >>> list(in_order([Stretch("ab", iter), Stretch("cd", iter)], threads=2))
    ['a', 'b', 'c', 'd']
    """
    begun_room = Room(WAITING_PER_THREAD * threads)
    rooms = begun_room, Room(None), *([] if until is None else [until])
    with _Crew(stretches, threads, cores, rooms, then=then) as crew:
        turn = crew.before_all
        for task, made in crew.made():
            task.waiting.append(made)
            del task, made  # else they would be held while the next one is made
            while (turn := turn.current()).waiting:
                piece = turn.waiting.popleft()
                if not isinstance(piece, _End):
                    yield piece
                    del piece
                    continue
                piece.check()
                turn.is_over = True
                if turn.is_whole:
                    begun_room.give()


def as_they_come(stretches: Iterable[Stretch[T]], threads: int, cores: int = 1) -> Iterator[T]:
    """The pieces of all stretches, each as soon as it is there; those of one in their order.

    Args:
        stretches: Begun in this order.
        threads: How many of them, or of their halves, are done side by side.
        cores: How many cores each of them is computed on.

    >>> sorted(as_they_come([Stretch("ab", iter), Stretch("cd", iter)], threads=2))
    ['a', 'b', 'c', 'd']
    """
    piece_room = Room(WAITING_PER_THREAD * threads)
    with _Crew(stretches, threads, cores, (Room(None), piece_room)) as crew:
        for _, made in crew.made():
            if isinstance(made, _End):
                made.check()
                continue
            piece_room.give()
            yield made
            del made


def shared_out(stretches: Sequence[Stretch[T]], plan: TilePlan, *, ordered: bool) -> Iterator[T]:
    """The pieces of all stretches, done by as many threads as a plan says, if there is work for so.

    Args:
        stretches: What is done.
        plan: Says how many threads, and how many cores these compute on.
        ordered: Whether pieces come in the order of the stretches, or as they are made.
    """
    threads = max(1, min(plan.threads, sum(map(len, stretches))))
    if threads == 1 and plan.cores in (None, torch.get_num_threads()):
        return chain.from_iterable(stretches)
    run = in_order if ordered else as_they_come
    return run(stretches, threads, max(1, (plan.cores or 1) // threads))


@dataclass(frozen=True, slots=True)
class _End:
    """The end of a stretch."""

    error: BaseException | None = None

    def check(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass(eq=False, slots=True)
class _Task(Generic[T]):
    """A stretch in the hands of one thread.

    Attributes:
        stretch: What is done.
        is_whole: Whether it is none that was split from another one.
        waiting: Pieces that wait for their turn, and the end.
        is_over: Whether all of it has had its turn.
        after: The next one in order; None as long as it has not been begun.
    """

    stretch: Stretch[T]
    is_whole: bool = True
    waiting: deque[T | _End] = field(default_factory=deque)
    is_over: bool = False
    after: _Task[T] | None = None

    def current(self) -> _Task[T]:
        """This one, or where it is over the one whose turn it is, as far as any has begun."""
        task = self
        while task.is_over and task.after is not None:
            task = task.after
        return task


class _Crew(Generic[T]):
    """Threads that do stretches, one after the other, and in the end each other's halves.

    Args:
        stretches: In the order in which they are begun.
        threads: How many threads.
        cores: How many cores each of them computes on.
        rooms: The first is taken by every stretch before it is begun, the second by every piece
            before it is handed over; all are closed at the end.
        then: Called by each thread when it finds none left to do.

    Attributes:
        before_all: Stands before the first task.
    """

    def __init__(
        self,
        stretches: Iterable[Stretch[T]],
        threads: int,
        cores: int,
        rooms: tuple[Room, ...],
        *,
        then: Callable[[], None] = _nothing,
    ) -> None:
        self.before_all: _Task[T] = _Task(Stretch((), iter), is_over=True)
        self._last = self.before_all
        self._stretches = iter(stretches)
        self._begun: list[_Task[T]] = []
        self._taking = threading.Lock()
        self._begun_room, self._piece_room = rooms[:2]
        self._cores, self._then = cores, then
        self._made: SimpleQueue[tuple[_Task[T], T | _End] | None] = SimpleQueue()
        self._workers = [
            Worker(self._work, then=lambda: self._made.put(None)) for _ in range(threads)
        ]
        # Where pieces are left that nobody takes, threads must not be at work when Python ends: it
        # stops them in the middle of a kernel, and C++ aborts the process.
        self._at_exit = weakref.finalize(self, self._end, rooms, self._workers)

    def made(self) -> Iterator[tuple[_Task[T], T | _End]]:
        """Pieces and ends, each with the task that it is of."""
        for _ in self._workers:
            while (made := self._made.get()) is not None:
                yield made
                del made
        for worker in self._workers:
            if worker.error is not None:
                raise worker.error

    def __enter__(self) -> _Crew[T]:
        return self

    def __exit__(self, *_: object) -> None:
        """Let every thread end with the piece that it is making, and wait for it."""
        self._at_exit()

    @staticmethod
    def _end(rooms: tuple[Room, ...], workers: list[Worker[None]]) -> None:
        for room in rooms:
            room.close()
        for worker in workers:
            worker.wait()
        workers.clear()  # they hold the crew, and it holds what nobody has taken

    def _work(self) -> None:
        with keeping_to(self._cores):
            try:
                while (task := self._next()) is not None and self._do(task):
                    with self._taking:
                        self._begun.remove(task)
            finally:
                task = None
                self._then()

    def _next(self) -> _Task[T] | None:
        """The next stretch, or half of the longest of those that others are doing."""
        while self._begun_room.take():
            with self._taking:
                stretch = next(self._stretches, None)
                if stretch is not None:
                    task = self._last.after = self._last = _Task(stretch)
                    self._begun.append(task)
                    return task
                self._begun_room.give()
                longest = max(self._begun, key=lambda each: len(each.stretch), default=None)
                half = None if longest is None else longest.stretch.split()
                if longest is None or half is None:
                    return None
                task = longest.after = _Task(half, is_whole=False, after=longest.after)
                self._last = task if self._last is longest else self._last
                self._begun.append(task)
                return task
        return None

    def _do(self, task: _Task[T]) -> bool:
        """Whether to go on with another task."""
        end = _End()
        try:
            for piece in task.stretch:
                if not self._piece_room.take():
                    return False
                self._made.put((task, piece))
                del piece
        except BaseException as error:
            end = _End(error)
        self._made.put((task, end))
        return end.error is None
