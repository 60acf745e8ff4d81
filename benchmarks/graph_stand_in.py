"""A stand-in for CUDA graphs on the CPU, so that what is done with them can be run without a GPU.

It behaves as graphs do: a replay runs no Python of the model, only operators, on the tensors that
they were recorded with; and it overwrites what other recordings have made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["GraphStandIn"]

T = TypeVar("T")


class GraphStandIn:
    """Records the operators that PyTorch is asked for, and asks for them again.

    Attributes:
        records: How many recordings it has made.
        replays: How many times they were replayed.
    """

    name = "recordings"
    is_free = True

    def __init__(self) -> None:
        self.records = self.replays = 0
        self._tapes: list[_Tape] = []
        self._last: _Tape | None = None

    def __reduce__(self) -> tuple[type[GraphStandIn], tuple[()]]:
        return GraphStandIn, ()

    @property
    def held_bytes(self) -> int:
        """The size of what the operators of a recording make, of which all use the same."""
        return max((tape.held_bytes for tape in self._tapes), default=0)

    def tuned(self) -> AbstractContextManager[None]:
        """Seek no kernels: a CPU has one for each shape."""
        return nullcontext()

    def in_turn(self) -> AbstractContextManager[None]:
        """Wait for nothing: a CPU does things in turn."""
        return nullcontext()

    def record(self, run: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Rehearse a function, and record its operators; their results are not there yet."""
        run()
        tape = _Tape()
        with tape:
            made = run()
        tape.forget()
        self._tapes.append(tape)
        self.records += 1

        def replay() -> None:
            if tape not in self._tapes:
                raise ValueError("replay: expected a recording, found one that was let go")
            if self._last is not None and self._last is not tape:
                self._last.forget()
            tape.replay()
            self._last = tape
            self.replays += 1

        return made, replay

    def let_go(self, forget: Callable[[], None]) -> None:
        """Forget all recordings."""
        forget()
        self._tapes.clear()
        self._last = None


class _Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Operators, what they read, and what they made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls: list[tuple[Callable[..., Any], Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        read = {_place(each) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        fresh = [each for each in tree_leaves(made) if _place(each) not in read]
        changes = func._schema.is_mutable  # type: ignore[attr-defined]
        if fresh or changes:  # else it is a view, which stays one
            self._calls.append((func, args, dict(kwargs or {}), fresh))
        return made

    @property
    def held_bytes(self) -> int:
        return sum(each.untyped_storage().nbytes() for call in self._calls for each in call[3])

    def replay(self) -> None:
        """Do it all again."""
        for func, args, kwargs, fresh in self._calls:
            made = func(*args, **kwargs)
            for to, source in zip(fresh, tree_leaves(made) if fresh else (), strict=True):
                to.copy_(source)

    def forget(self) -> None:
        """Overwrite all that was made, as another graph's replay does in the memory they share."""
        for _, _, _, fresh in self._calls:
            for each in fresh:
                each.fill_(torch.nan if each.is_floating_point() else 0)


def _place(tensor: Tensor) -> int:
    """Where its numbers are; weights in oneDNN's own order do not tell, and are only read."""
    return 0 if tensor.is_mkldnn else tensor.untyped_storage().data_ptr()
