"""How much memory layers really hold."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class LiveElements(TorchDispatchMode):
    """Counts the elements of all storages that are alive after each operation."""

    def __init__(self, first: Tensor) -> None:
        super().__init__()
        self._storages: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.most = 0
        self._see(first)

    def _see(self, out: object) -> None:
        if isinstance(out, Tensor):
            storage = out.untyped_storage()
            self._storages[storage._cdata] = (
                weakref.ref(storage),
                storage.nbytes() // out.dtype.itemsize,
            )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self._see(out)
        alive = [size for reference, size in self._storages.values() if reference() is not None]
        self.most = max(self.most, sum(alive))
        return out


@pytest.fixture(scope="session")
def live_elements() -> Callable[[Tensor], LiveElements]:
    """``with live_elements(tensor) as live``: ``live.most`` elements were held at once."""
    return LiveElements
