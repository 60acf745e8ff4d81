"""Damaged files: small valid ones of every kind that is read, changed at random and opened.

Whatever they are, opening them ends in what was read or in one of the package's own errors; soon,
within bounded memory, with nothing run and nothing left behind; and an error is a line of under
300 letters. The suite runs some of each kind; by hand, ten thousand:
``python -m tests.cases.fuzzing --count 10000 --seed 1 [--kinds npy png]``, each kind in a process
of its own, for a library that crashes is a fault as well.

Every case is known by its seed, its kind and its number, and ``--only NUMBER`` runs one again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pickle
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from random import Random
from typing import Final

from taesd_stream.errors import TaesdStreamError
from tests.cases.damages import damaged

__all__ = ["KINDS", "Kind", "Report", "fuzz", "quick_kinds", "register"]


MOST_SECONDS: Final = 20.0


MOST_BYTES: Final = 2**30


MOST_LETTERS: Final = 300


TRAP: Final = "trap"


@dataclass(frozen=True)
class Kind:
    """A kind of file that is read.

    Attributes:
        make: writes a valid one, and what belongs to it, into an empty folder, and returns the file
            that is to be damaged.
        open: reads what ``make`` returned, wholly.
        is_refused: whether even the valid one is refused: it would run something.
        is_slow: whether it takes seconds to make, so that it is run only when asked for.
    """

    make: Callable[[Path], Path]
    open: Callable[[Path], object]
    is_refused: bool = False
    is_slow: bool = False


KINDS: Final[dict[str, Kind]] = {}
"""All kinds by name; :func:`register` adds to them."""


def register(name: str, kind: Kind) -> None:
    """Add a kind of file, whose name is new."""
    assert name not in KINDS, name
    KINDS[name] = kind


def quick_kinds() -> list[str]:
    """Those that are run unless others are asked for."""
    return sorted(name for name, kind in KINDS.items() if not kind.is_slow)


@dataclass
class Report:
    """The outcome of many cases.

    Attributes:
        read, refused: how many files were opened in spite of all, and how many were not, by kind.
        slowest: the most seconds that one took, and which.
        largest: the most bytes by which the process's peak memory grew in one case, and which.
        faults: what must not be, a line each.
    """

    read: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "none")
    largest: tuple[int, str] = (0, "none")
    faults: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Take in the outcome of other cases."""
        self.read += other.read
        self.refused += other.refused
        self.slowest = max(self.slowest, other.slowest)
        self.largest = max(self.largest, other.largest)
        self.faults += other.faults

    @property
    def counts(self) -> str:
        """What was read and what refused, a line for each kind."""
        return "\n".join(
            f"{kind:24} {self.read[kind]:6} read {self.refused[kind]:6} refused"
            for kind in sorted(self.read | self.refused)
        )

    def __str__(self) -> str:
        lines = [self.counts]
        seconds, bytes_grown = self.slowest, self.largest
        lines.append(f"slowest {seconds[0]:.2f} s ({seconds[1]})")
        lines.append(f"largest {bytes_grown[0] / 2**20:.0f} MiB ({bytes_grown[1]})")
        return "\n".join([*lines, f"{len(self.faults)} faults", *self.faults])


def fuzz(kinds: Iterable[str], numbers: Iterable[int], seed: int, folder: Path) -> Report:
    """Damage and open a file for each number, the kinds in turn; ``folder`` is empty.

    A case whose number is below that of the kinds is the valid file itself.
    """
    report = Report()
    names = sorted(kinds)
    originals = {name: _Original.of(KINDS[name], folder / "originals" / name) for name in names}
    others = [originals[name].data for name in names]
    scratch = folder / "scratch"
    scratch.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(scratch)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for number in numbers:
                case = _Case(names[number % len(names)], number, seed, number < len(names))
                original = originals[case.kind]
                data = original.data
                if not case.is_whole:
                    data = damaged(data, Random(str(case)), others)
                _check(KINDS[case.kind], original.put(data), case, report)
                left = [path.name for path in scratch.iterdir()]
                if left or (folder / "originals" / case.kind / TRAP).exists():
                    report.faults.append(f"{case}: left behind {left or TRAP}")
    finally:
        tempfile.tempdir = before
    return report


def fuzz_apart(kinds: Iterable[str], numbers: Sequence[int], seed: int) -> Iterator[Report]:
    """The same, each kind in a process of its own: where that dies, or hangs, is a fault."""
    context = multiprocessing.get_context("spawn")
    names = sorted(kinds)
    for place, name in enumerate(names):
        report = Report()
        left = [number for number in numbers if number % len(names) == place]
        while left:
            now = context.Value("q", left[0])
            receiving, sending = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(names, left, seed, now, sending))
            process.start()
            sending.close()
            seen = -1
            while not receiving.poll(3 * MOST_SECONDS) and now.value != seen:
                seen = now.value
            try:
                if not receiving.poll():
                    raise EOFError
                report.add(receiving.recv())
                left = []
            except EOFError:
                process.kill()
                process.join()
                case = _Case(name, now.value, seed, is_whole=False)
                report.faults.append(f"{case}: its process ended with {process.exitcode}")
                left = left[left.index(now.value) + 1 :]
        yield report


def _work(
    kinds: Sequence[str],
    numbers: Sequence[int],
    seed: int,
    now: Synchronized[int],
    sending: Connection,
) -> None:
    """Run cases, telling the number of each before it is tried."""
    _register_all()

    def told() -> Iterator[int]:
        for now.value in numbers:
            yield now.value

    with tempfile.TemporaryDirectory() as folder:
        sending.send(fuzz(kinds, told(), seed, Path(folder)))


def _register_all() -> None:
    import tests.cases.fuzzed_kinds
    import tests.cases.fuzzed_media  # noqa: F401 (they register them)


@dataclass(frozen=True)
class _Case:
    """One file that is opened: of which kind, damaged by which dice, or whole."""

    kind: str
    number: int
    seed: int
    is_whole: bool

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.kind}, number {self.number}"


@dataclass(frozen=True)
class _Original:
    """A valid file: where it is, and its bytes."""

    path: Path
    data: bytes

    @classmethod
    def of(cls, kind: Kind, folder: Path) -> _Original:
        folder.mkdir(parents=True)
        path = kind.make(folder)
        return cls(path, path.read_bytes())

    def put(self, data: bytes) -> Path:
        self.path.write_bytes(data)
        return self.path


def _check(kind: Kind, path: Path, case: _Case, report: Report) -> None:
    beside = sorted(path.parent.iterdir())
    peak, started = _peak_bytes(), time.perf_counter()
    try:
        kind.open(path)
    except TaesdStreamError as error:
        report.refused[case.kind] += 1
        if case.is_whole and not kind.is_refused:
            report.faults.append(f"{case}: the valid file is refused: {error}")
        text = str(error).replace(str(path.parent), "")
        if not text.isprintable() or len(text) > MOST_LETTERS:
            report.faults.append(f"{case}: an error of {len(text)} letters: {text[:400]!r}")
    except Exception as error:
        report.faults.append(f"{case}: {type(error).__name__}: {error}")
    else:
        report.read[case.kind] += 1
        if case.is_whole and kind.is_refused:
            report.faults.append(f"{case}: the hostile file is read")
    seconds, grown = time.perf_counter() - started, _peak_bytes() - peak
    report.slowest = max(report.slowest, (seconds, str(case)))
    report.largest = max(report.largest, (grown, str(case)))
    if seconds > MOST_SECONDS or grown > MOST_BYTES:
        report.faults.append(f"{case}: {seconds:.1f} s and {grown / 2**20:.0f} MiB")
    if sorted(path.parent.iterdir()) != beside:
        report.faults.append(f"{case}: files were made beside it")


def _peak_bytes() -> int:
    """The most memory that this process had so far; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Bomb:
    """An object whose unpickling makes a file."""

    def __init__(self, trap: Path) -> None:
        self._trap = trap

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._trap),)


def hostile_pickle(folder: Path) -> bytes:
    """A pickle of latents and a :class:`Bomb`, which would make ``TRAP`` in a folder."""
    return pickle.dumps({"latents": [0.0], "more": Bomb(folder / TRAP)}, protocol=2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run many cases and print what came of them; 1 where something must not be."""
    _register_all()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=quick_kinds())
    parser.add_argument("--only", type=int, help="the number of one case")
    options = parser.parse_args(arguments)
    numbers = range(options.count) if options.only is None else [options.only]
    report = Report()
    for each in fuzz_apart(options.kinds, numbers, options.seed):
        print(*each.faults or [each.counts], sep="\n", flush=True)
        report.add(each)
    print(report)
    return int(bool(report.faults))


if __name__ == "__main__":
    # As this module is imported by those who register, not as __main__.
    from tests.cases.fuzzing import main as run

    sys.exit(run())
