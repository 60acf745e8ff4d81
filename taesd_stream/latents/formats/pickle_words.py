"""The names in pickles that stand for data: tensors, NumPy's arrays, and outputs of pipelines."""

from __future__ import annotations

import io
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch

from taesd_stream.latents.formats.pickle_data import Name, PickleDataError
from taesd_stream.latents.placed_arrays import DTYPES, MemoryBytes, PlacedArray, Storage
from taesd_stream.latents.raw_store import row_major
from taesd_stream.latents.wrappers import FilledLater, Record

__all__ = ["Words", "storage_dtype"]

_STORAGES: Final = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
_NUMPY_NUMBER: Final = re.compile(r"([biufc])(\d{1,2})")
_NUMPY_KINDS: Final = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}
_NATIVE_ORDER: Final = "<" if sys.byteorder == "little" else ">"

# Whose objects are read as their fields: outputs of pipelines, and what programs note beside them.
_RECORD_ROOTS: Final = frozenset({"diffusers", "transformers", "comfy"})
_RECORDS: Final = frozenset(
    {"argparse.Namespace", "types.SimpleNamespace", "torch.device"}
    | {
        f"{module}.{pure}{system}Path"
        for module in ("pathlib", "pathlib._local")
        for pure in ("", "Pure")
        for system in ("Posix", "Windows")
    }
)


def storage_dtype(name: object) -> torch.dtype | None:
    """The dtype of torch's class of storages of this name; None where there is no such class."""
    if not isinstance(name, Name) or name.module.partition(".")[0] != "torch":
        return None
    return _STORAGES.get(name.name)


@dataclass(eq=False)
class _NumpyDtype:
    """A dtype of NumPy: ``name`` such as float32, or as NumPy abbreviates others."""

    name: str
    itemsize: int
    byte_order: str = _NATIVE_ORDER


class Words:
    """The vocabulary of pickles of data, and nothing but data.

    Args:
        persistent: what knows the storages that lie beside the pickle.
        load_storage: what reads those that lie in it, each a file of ``torch.save`` of its own.
        name: what errors call the bytes in the pickle.
    """

    def __init__(
        self,
        persistent: Callable[[object], Storage | Record] | None,
        load_storage: Callable[[io.BytesIO], object] | None,
        name: str,
    ) -> None:
        self._storage_of = persistent
        self._load_storage = load_storage
        self._bytes_name = name

    def persistent(self, identity: object) -> object:
        if self._storage_of is None:
            raise PickleDataError("a pickle of what lies elsewhere")
        return self._storage_of(identity)

    def called(self, name: Name, arguments: tuple[Any, ...]) -> object:
        known = _WORDS.get(_modern(str(name)))
        if known is not None:
            return known(self, *arguments)
        if str(name).startswith("torch._utils._rebuild_"):
            return Record(f"a tensor made by {name}")
        is_of_library = name.module.partition(".")[0] in _RECORD_ROOTS and "." not in name.name
        if str(name) in _RECORDS or is_of_library:
            return Record(
                str(name).rpartition(".")[2], {str(n): value for n, value in enumerate(arguments)}
            )
        raise PickleDataError(f"one that asks for {name}, which is never run")

    def build(self, made: object, state: object) -> None:
        if isinstance(made, Record):
            for part in state if isinstance(state, tuple) else (state,):
                if isinstance(part, Mapping):
                    made.fields.update({str(key): value for key, value in part.items()})
        elif isinstance(made, FilledLater) and isinstance(state, tuple):
            made.content = self._numpy_content(*state)
        elif isinstance(made, _NumpyDtype) and isinstance(state, tuple):
            if state[1] in ("<", ">"):
                made.byte_order = state[1]
            if len(state) > 3 and state[3] is not None:
                made.name = "structured"
        elif not isinstance(made, dict):  # a mapping may have attributes, which are not needed
            raise PickleDataError(f"a pickle that gives a {type(made).__name__} a state")

    # The words themselves: as functions of these names are called, with what they return.

    def _mapping(self, pairs: Any = ()) -> object:
        return dict(pairs)

    def _default_mapping(self, *_: object) -> object:
        return {}

    def _sequence(self, items: Any = ()) -> object:
        return list(items)

    def _size(self, items: Any = ()) -> object:
        return tuple(items)

    def _encoded(self, text: str, encoding: str = "latin1") -> object:
        if encoding not in ("latin1", "latin-1"):
            raise PickleDataError("a pickle that encodes a text")
        return text.encode("latin1")

    def _plain_bytes(self, *given: Any) -> object:
        if given and not isinstance(given[0], bytes | bytearray):
            return self._encoded(*given)
        return bytes(*given)

    def _complex(self, real: float, imaginary: float) -> object:
        return complex(real, imaginary)

    def _reconstructed(self, kind: Any, *_: object) -> object:
        return self.called(kind, ())

    def _stored(self, data: Any) -> object:
        if self._load_storage is None:
            raise PickleDataError("a file in a file in a file")
        return self._load_storage(io.BytesIO(data))

    def _tensor(self, storage: Any, start: Any, shape: Any, strides: Any, *more: Any) -> object:
        if isinstance(storage, Record):
            return storage
        changes = more[2] if len(more) > 2 and isinstance(more[2], dict) else {}
        if any(changes.get(change) for change in ("neg", "conj")):
            return Record("a negated or conjugate view of a tensor")
        return _placed(storage, start, shape, strides, storage.dtype)

    def _typed_tensor(
        self, storage: Any, start: Any, shape: Any, strides: Any, *more: Any
    ) -> object:
        dtype = DTYPES.get(more[2].name)
        if isinstance(storage, Record) or dtype is None:
            return Record(f"tensor of {more[2]}")
        return _placed(storage, start, shape, strides, dtype)

    def _of_type(self, function: Any, _: object, arguments: Any, *__: object) -> object:
        return self.called(function, arguments)

    def _first(self, first: object = None, *_: object) -> object:
        return first

    def _numpy_dtype(self, text: Any = "", *_: object) -> _NumpyDtype:
        number = _NUMPY_NUMBER.fullmatch(text.lstrip("<>=|"))
        if number is None:
            return _NumpyDtype("object" if text.lstrip("|").startswith("O") else f"{text!r:.20}", 0)
        kind, size = _NUMPY_KINDS[number[1]], int(number[2])
        name = kind if kind == "bool" else f"{kind}{size * 8}"
        order = text[0] if text[0] in "<>" else _NATIVE_ORDER
        return _NumpyDtype(name, size, order)

    def _empty_numpy(self, *_: object) -> object:
        return FilledLater()

    def _numpy_scalar(self, dtype: Any, data: Any = b"") -> object:
        return self._numpy_content(1, (), dtype, False, data)

    def _numpy_buffer(self, data: Any, dtype: Any, shape: Any, order: str = "C") -> object:
        return self._numpy_content(1, shape, dtype, order == "F", data)

    def _numpy_content(self, _: int, shape: Any, dtype: Any, is_fortran: Any, data: Any) -> object:
        """What an array of NumPy holds: its numbers, or objects."""
        if isinstance(data, str):
            data = data.encode("latin1")
        shape = _whole_numbers(shape)
        if dtype.name == "object":
            return data[0] if shape == () and len(data) == 1 else data
        if dtype.itemsize == 0:
            return Record(f"array of {dtype.name}")
        if (
            not isinstance(data, bytes | bytearray)
            or len(data) != math.prod(shape) * dtype.itemsize
        ):
            raise PickleDataError("a pickled array with too many or too few numbers")
        source = MemoryBytes(data, self._bytes_name)
        storage = Storage(torch.uint8, len(data), source, 0)
        strides = row_major(shape[::-1])[::-1] if is_fortran else row_major(shape)
        return PlacedArray(storage, 0, shape, strides, dtype.name, dtype.byte_order)


def _placed(storage: Any, start: Any, shape: Any, strides: Any, dtype: torch.dtype) -> PlacedArray:
    if not isinstance(storage, Storage):
        raise PickleDataError(f"a tensor whose numbers are a {type(storage).__name__}")
    (start,) = _whole_numbers([start])
    sizes, steps = _whole_numbers(shape), _whole_numbers(strides)
    if len(sizes) != len(steps):
        raise PickleDataError("a tensor with a stride too many or too few")
    return PlacedArray(storage, start, sizes, steps, str(dtype).removeprefix("torch."))


def _whole_numbers(given: Any) -> tuple[int, ...]:
    numbers = tuple(given) if isinstance(given, list | tuple) else (None,)
    if any(type(number) is not int or not 0 <= number < 2**62 for number in numbers):
        raise PickleDataError("an array whose sizes are no whole numbers")
    return numbers


def _modern(name: str) -> str:
    """A name as today's Python and NumPy spell it."""
    return name.replace("numpy.core.", "numpy._core.").replace("__builtin__.", "builtins.")


_WORDS: Final[Mapping[str, Callable[..., object]]] = {
    "collections.OrderedDict": Words._mapping,
    "builtins.dict": Words._mapping,
    "collections.defaultdict": Words._default_mapping,
    "builtins.set": Words._sequence,
    "builtins.frozenset": Words._sequence,
    "builtins.list": Words._sequence,
    "builtins.tuple": Words._size,
    "torch.Size": Words._size,
    "_codecs.encode": Words._encoded,
    "builtins.bytes": Words._plain_bytes,
    "builtins.bytearray": Words._plain_bytes,
    "builtins.complex": Words._complex,
    "copyreg._reconstructor": Words._reconstructed,
    "copy_reg._reconstructor": Words._reconstructed,
    "torch.storage._load_from_bytes": Words._stored,
    "torch._utils._rebuild_tensor": Words._tensor,
    "torch._utils._rebuild_tensor_v2": Words._tensor,
    "torch._utils._rebuild_tensor_v3": Words._typed_tensor,
    "torch._utils._rebuild_parameter": Words._first,
    "torch._utils._rebuild_parameter_with_state": Words._first,
    "torch._tensor._rebuild_from_type_v2": Words._of_type,
    "torch.nn.parameter.Parameter": Words._first,
    "torch.nn.parameter.Buffer": Words._first,
    "numpy.dtype": Words._numpy_dtype,
    "numpy._core.multiarray._reconstruct": Words._empty_numpy,
    "numpy._core.multiarray.scalar": Words._numpy_scalar,
    "numpy._core.numeric._frombuffer": Words._numpy_buffer,
}
