"""Pickles read as data: nothing that a pickle names is imported, and nothing is called.

Python's unpickler finds functions by the names in a file and calls them with what else is in it.
Here a name stays a name, and what becomes of it and its arguments is for a :class:`Vocabulary`.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Final, Protocol

from taesd_stream.latents.wrappers import Record
from video.errors import first_line

__all__ = ["Name", "PickleDataError", "Vocabulary", "read_pickle"]


_ODD: Final = re.compile(r"[^\w.<>-]")
_MOST_LETTERS: Final = 80


class PickleDataError(ValueError):
    """A pickle that is broken, or that is more than data; the message is what was found."""


@dataclass(frozen=True)
class Name:
    """A function or a class that a pickle names; as a string it is fit for a message."""

    module: str
    name: str

    def __str__(self) -> str:
        return _ODD.sub("?", f"{self.module}.{self.name}")[:_MOST_LETTERS]


class Vocabulary(Protocol):
    """The meaning of what pickles cannot say themselves; all may raise PickleDataError."""

    def called(self, name: Name, arguments: tuple[Any, ...]) -> object:
        """The value of a function of this name, or an object of a class of this name."""

    def persistent(self, identity: object) -> object:
        """The object that lies elsewhere under this identity."""

    def build(self, made: object, state: object) -> None:
        """Give an object that was made here its state."""


def read_pickle(file: IO[bytes], vocabulary: Vocabulary) -> object:
    """Read one pickle from where ``file`` is to its end, of any protocol.

    What it holds becomes numbers, strings, bytes, lists, tuples, dictionaries, names, records, and
    whatever ``vocabulary`` returns; structures may contain themselves. The memory it takes is some
    times what is read, for lengths in the pickle are believed only as far as the file goes.

    Raises:
        PickleDataError: it is broken or not data.
    """
    try:
        return _Reader(vocabulary).read(file)
    except PickleDataError:
        raise
    except Exception as error:  # a broken one makes it stumble anywhere
        raise PickleDataError(f"a broken pickle ({first_line(error)})") from error


_CONSTANTS: Final[dict[str, Callable[[], object]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,
}
_LITERALS: Final = frozenset(
    [
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE"),
        *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    ]
)
_PUTS: Final = frozenset(["PUT", "BINPUT", "LONG_BINPUT"])
_GETS: Final = frozenset(["GET", "BINGET", "LONG_BINGET"])
_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Reader:
    """The stack and the memo of a pickle that is being read."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, object] = {}

    def read(self, file: IO[bytes]) -> object:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "STOP":
                return self._stack.pop()
            self._do(opcode.name, argument)
        raise PickleDataError("a pickle without an end")

    def _do(self, operation: str, argument: Any) -> None:
        if operation in _LITERALS:
            self._stack.append(argument)
        elif operation in _CONSTANTS:
            self._stack.append(_CONSTANTS[operation]())
        elif operation in _GETS:
            self._stack.append(self._memo[int(argument)])
        elif operation in _PUTS:
            self._memo[int(argument)] = self._stack[-1]
        elif operation in _TUPLES:
            count = _TUPLES[operation]
            if len(self._stack) < count:
                raise IndexError("its stack is empty")
            self._stack[-count:] = [tuple(self._stack[-count:])]
        elif operation not in {"PROTO", "FRAME"}:
            action = _ACTIONS.get(operation)
            if action is None:
                raise PickleDataError(f"a pickle with the operation {operation}")
            action(self, argument)

    def _memoize(self, _: object) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _mark(self, _: object) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._marked.pop()
        return items

    def _pop(self, _: object) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def _append(self, _: object) -> None:
        self._extend([self._stack.pop()])

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise PickleDataError(f"a pickle that appends to a {type(target).__name__}")
        target.extend(items)

    def _set_item(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items([key, value])

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        pairs = dict(zip(items[::2], items[1::2], strict=True))
        if isinstance(target, Record):
            target.fields.update({str(key): value for key, value in pairs.items()})
        elif isinstance(target, dict):
            target.update(pairs)
        else:
            raise PickleDataError(f"a pickle that sets items of a {type(target).__name__}")

    def _name(self, text: str) -> None:
        module, _, name = text.partition(" ")
        self._stack.append(Name(module, name))

    def _name_of_stack(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise PickleDataError("a pickle that names what is no name")
        self._stack.append(Name(module, name))

    def _call(self, _: object) -> None:
        arguments = self._stack.pop()
        self._push_called(self._stack.pop(), arguments)

    def _call_with_keywords(self, _: object) -> None:
        if self._stack.pop():
            raise PickleDataError("a pickle that makes an object with keywords")
        self._call(None)

    def _call_marked(self, text: str) -> None:
        items = self._since_mark()
        self._name(text)
        self._push_called(self._stack.pop(), tuple(items))

    def _call_first(self, _: object) -> None:
        first, *items = self._since_mark()
        self._push_called(first, tuple(items))

    def _push_called(self, named: object, arguments: object) -> None:
        if not (isinstance(named, Name) and isinstance(arguments, tuple)):
            raise PickleDataError(f"a pickle that calls a {type(named).__name__}")
        self._stack.append(self._vocabulary.called(named, arguments))

    def _build(self, _: object) -> None:
        state = self._stack.pop()
        self._vocabulary.build(self._stack[-1], state)

    def _persistent(self, _: object) -> None:
        self._stack.append(self._vocabulary.persistent(self._stack.pop()))


_ACTIONS: Final[dict[str, Callable[[_Reader, Any], None]]] = {
    "MEMOIZE": _Reader._memoize,
    "MARK": _Reader._mark,
    "POP": _Reader._pop,
    "POP_MARK": lambda reader, _: _drop(reader._since_mark()),
    "DUP": lambda reader, _: reader._stack.append(reader._stack[-1]),
    "TUPLE": lambda reader, _: _push(reader, tuple(reader._since_mark())),
    "LIST": lambda reader, _: _push(reader, reader._since_mark()),
    "FROZENSET": lambda reader, _: _push(reader, reader._since_mark()),
    "DICT": lambda reader, _: _push_dict(reader),
    "APPEND": _Reader._append,
    "APPENDS": lambda reader, _: reader._extend(reader._since_mark()),
    "ADDITEMS": lambda reader, _: reader._extend(reader._since_mark()),
    "SETITEM": _Reader._set_item,
    "SETITEMS": lambda reader, _: reader._set_items(reader._since_mark()),
    "GLOBAL": _Reader._name,
    "STACK_GLOBAL": _Reader._name_of_stack,
    "INST": _Reader._call_marked,
    "OBJ": _Reader._call_first,
    "REDUCE": _Reader._call,
    "NEWOBJ": _Reader._call,
    "NEWOBJ_EX": _Reader._call_with_keywords,
    "BUILD": _Reader._build,
    "BINPERSID": _Reader._persistent,
}


def _drop(_: object) -> None:
    """Let go of what a pickle made in vain."""


def _push(reader: _Reader, value: object) -> None:
    reader._stack.append(value)


def _push_dict(reader: _Reader) -> None:
    items = reader._since_mark()
    reader._stack.append({})
    reader._set_items(items)
