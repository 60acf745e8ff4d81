"""The common ground of streams that decode and streams that encode."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

from torch import Tensor

from taesd_stream.engine.coder import Coder
from taesd_stream.engine.run import OnTile, Run
from taesd_stream.errors import InputError
from taesd_stream.models.stream_state import StreamState
from tiling import Size

__all__ = ["VideoStream"]


class VideoStream(ABC):
    """A video that is pushed step by step, saved half done, and gone on with elsewhere.

    Args:
        coder: The decoder or the encoder.
        on_tile: Told after each tile how much is done, and of how much.
    """

    _action: ClassVar[str]
    _pushed: ClassVar[str]

    def __init__(self, coder: Coder, on_tile: OnTile | None) -> None:
        self._coder, self._spec, self._on_tile = coder, coder.spec, on_tile
        self._run: Run | None = None
        self._closed = False

    def close(self) -> None:
        """Let go of all that is held; nothing can be pushed afterwards."""
        self._closed, self._run = True, None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _begin(self, plane: Size) -> Run:
        """Begin a video whose input plane is ``plane``."""

    def _saved(
        self, *, done: int, total: int | None = None, pending: Mapping[str, Tensor]
    ) -> StreamState:
        if self._run is None or self._closed:
            found = "one that was flushed" if self._closed else f"no {self._pushed} yet"
            raise InputError(f"state: expected a stream that has begun, found {found}")
        return StreamState(
            model=self._spec.label,
            action=self._action,
            height=self._run.plane.height,
            width=self._run.plane.width,
            done=done,
            total=total,
            chunk=self._run.plan.chunk,
            states=self._run.remembered(),
            pending=pending,
        )

    def _take_over(self, state: StreamState, steps: int) -> None:
        """Begin with the states of another stream, after so many time steps."""
        state.check(self._spec.label, self._action)
        run = self._begin(Size(state.height, state.width))
        if run.plan.chunk != state.chunk:
            raise InputError(
                f"state: expected one of frames in chunks of {run.plan.chunk}, found chunks of"
                f" {state.chunk}; give chunk={state.chunk}"
            )
        run.go_on(state.states, steps)
