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
import io
import multiprocessing
import os
import pickle
import re
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from random import Random
from typing import Final

from taesd_stream.errors import TaesdStreamError

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
    scratch = folder / "scratch"
    scratch.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(scratch)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for number in numbers:
                case = _Case(names[number % len(names)], number, seed, number < len(names))
                original = originals[case.kind]
                data = original.data if case.is_whole else _damaged(original, case, originals)
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


# Damages. Each takes a file's bytes, and returns others.


def _damaged(original: _Original, case: _Case, originals: dict[str, _Original]) -> bytes:
    data, turn = original.data, Random(str(case))
    if turn.random() < 0.05:
        other = turn.choice(sorted(originals))
        return _spliced(data, originals[other].data, turn)
    if data.startswith(b"PK") and turn.random() < 0.7:
        return _damaged_member(data, turn)
    for _ in range(turn.choice([1, 1, 1, 2, 5])):
        data = turn.choice(_DAMAGES)(data, turn)
    if turn.random() < 0.7:
        return _with_sums(data)
    return data


def _truncated(data: bytes, turn: Random) -> bytes:
    return data[: turn.randrange(len(data) + 1)]


def _flipped(data: bytes, turn: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(turn.choice([1, 2, 8])):
        if changed:
            changed[_place(changed, turn)] ^= 1 << turn.randrange(8)
    return bytes(changed)


def _overwritten(data: bytes, turn: Random) -> bytes:
    start = _place(data, turn)
    length = turn.choice([1, 2, 4, 8, 64, 1024])
    filling = turn.choice([b"\0", b"\xff", b"9", bytes([turn.randrange(256)])])
    return data[:start] + filling * length + data[start + length :]


def _grown_number(data: bytes, turn: Random) -> bytes:
    """A number in words that is larger, negative, or not whole."""
    places = list(re.finditer(rb"\d+", data[:4096]))
    if not places:
        return _grown_field(data, turn)
    place = turn.choice(places)
    number = turn.choice(
        [
            b"0",
            b"-1",
            b"9" * 12,
            b"4294967295",
            b"18446744073709551616",
            b"1e9",
            b"NaN",
            b"9" * 5000,
        ]
    )
    return data[: place.start()] + number + data[place.end() :]


def _grown_field(data: bytes, turn: Random) -> bytes:
    """A whole number of 1 to 8 bytes, of either byte order, that is at an end of its range."""
    start = _place(data, turn)
    letter, order = turn.choice("BHIQ"), turn.choice("<>")
    size = struct.calcsize(letter)
    most = 2 ** (8 * size) - 1
    number = turn.choice([0, 1, most, most // 2, most // 2 + 1, 100_000 & most, 2**20 & most])
    return data[:start] + struct.pack(order + letter, number) + data[start + size :]


def _cut_out(data: bytes, turn: Random) -> bytes:
    start = _place(data, turn)
    return data[:start] + data[start + turn.choice([1, 2, 4, 16, 256]) :]


def _repeated(data: bytes, turn: Random) -> bytes:
    start = _place(data, turn)
    return data[:start] + data[start : start + 64] * turn.choice([2, 3, 50]) + data[start:]


def _place(data: bytes | bytearray, turn: Random) -> int:
    """A place in a file, most often in its head or its tail, where its figures are."""
    size = max(1, len(data))
    near = min(size, turn.choice([32, 256, 1024, size]))
    start = turn.randrange(near)
    return start if turn.random() < 0.7 else size - 1 - start


_DAMAGES: Final = (
    *(_truncated, _flipped, _flipped, _overwritten, _grown_number, _grown_number),
    *(_grown_field, _grown_field, _cut_out, _repeated),
)


def _spliced(one: bytes, other: bytes, turn: Random) -> bytes:
    return one[: turn.randrange(len(one) + 1)] + other[turn.randrange(len(other) + 1) :]


def _damaged_member(data: bytes, turn: Random) -> bytes:
    """A zip archive whose sums are right and one of whose members is not."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as whole:
            members = [(info, whole.read(info)) for info in whole.infolist()]
    except (zipfile.BadZipFile, OSError, EOFError, ValueError):
        return data
    chosen = turn.randrange(len(members))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number, (info, content) in enumerate(members):
            damaged = turn.choice(_DAMAGES)(content, turn) if number == chosen else content
            archive.writestr(info.filename, damaged, info.compress_type)
    return made.getvalue()


def _with_sums(data: bytes) -> bytes:
    if data.startswith(b"\x89PNG"):
        return with_png_sums(data)
    return _with_ogg_sums(data) if data.startswith(b"OggS") else data


def _with_ogg_sums(data: bytes) -> bytes:
    """Pages of Ogg with the sums that belong to them (RFC 3533): a CRC with its bits not turned."""
    pages = data.split(b"OggS")[1:]
    return b"".join(_with_ogg_sum(b"OggS" + page) for page in pages)


def _with_ogg_sum(page: bytes) -> bytes:
    blank, sum_ = page[:22] + bytes(4) + page[26:], 0
    for byte in blank:
        sum_ ^= byte << 24
        for _ in range(8):
            sum_ = (sum_ << 1 ^ (0x04C11DB7 if sum_ >> 31 else 0)) & 0xFFFFFFFF
    return blank[:22] + struct.pack("<I", sum_) + blank[26:]


def with_png_sums(data: bytes) -> bytes:
    """A PNG whose chunks have the sums that belong to them, as far as they are chunks."""
    made, place = bytearray(data[:8]), 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        body = data[place + 4 : place + 8 + length]
        made += data[place : place + 8 + length] + struct.pack(">I", zlib.crc32(body))
        place += 12 + length
    return bytes(made + data[place:])


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
