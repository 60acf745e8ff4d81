"""CUDA graphs: what PyTorch launches once is launched again as a whole, without Python.

What the documentation of ``torch.cuda.graph`` asks for is done here: a rehearsal on the stream that
is recorded, so that libraries are set up and kernels chosen before; one memory pool for all graphs,
since none is replayed while another one's result is read; a stream of one's own, since the one that
PyTorch would take belongs to the first device that ever recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

import torch

from taesd_stream.engine.budget import release

__all__ = ["CudaGraphs"]

T = TypeVar("T")


class CudaGraphs:
    """Records and replays CUDA graphs on one device. Nothing is asked of it before it is used.

    Args:
        device: A CUDA device.
    """

    name = "CUDA graphs"
    _recording = Lock()
    """Held while a graph is recorded: PyTorch and CUDA allow one at a time in a process."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        self._pool: Any = None
        self._held_bytes = 0
        self._last: tuple[torch.cuda.Stream, torch.cuda.Event] | None = None

    def __reduce__(self) -> tuple[type[CudaGraphs], tuple[torch.device]]:
        return CudaGraphs, (self._device,)  # graphs hold addresses, and none of a copy's

    @property
    def held_bytes(self) -> int:
        """The size of the memory pool."""
        return self._held_bytes

    @property
    def is_free(self) -> bool:
        """Whether the caller is not recording what we do, in a graph of their own."""
        return not torch.cuda.is_current_stream_capturing()

    @contextmanager
    def tuned(self) -> Iterator[None]:
        """Inside it, cuDNN tries its kernels at the first convolution of every shape.

        Not where the caller wants kernels that are the same in every run, nor on AMD, whose search
        takes minutes.
        """
        cudnn = torch.backends.cudnn
        fixed = cudnn.deterministic or torch.are_deterministic_algorithms_enabled()
        if fixed or cudnn.benchmark or torch.version.hip is not None:
            yield
            return
        cudnn.benchmark = True
        try:
            yield
        finally:
            cudnn.benchmark = False

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Inside it, the current stream waits for the one of the turn before, if it is another."""
        with torch.cuda.device(self._device):
            stream = torch.cuda.current_stream()
            if self._last is not None and self._last[0] != stream:
                stream.wait_event(self._last[1])
            try:
                yield
            finally:
                event = torch.cuda.Event()  # type: ignore[no-untyped-call]
                event.record(stream)
                self._last = stream, event

    def record(self, run: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Rehearse a function, and record it as a graph.

        Raises:
            RuntimeError: Some of it cannot be recorded, or memory ran out.
        """
        with torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            if self._stream is None:
                self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            if self._pool is None:
                self._pool = torch.cuda.graph_pool_handle()
            try:
                with self._recording:
                    return self._record(run, current, self._stream)
            finally:
                # A recording that fails leaves its own stream behind.
                torch.cuda.set_stream(current)

    def _record(
        self, run: Callable[[], T], current: torch.cuda.Stream, stream: torch.cuda.Stream
    ) -> tuple[T, Callable[[], None]]:
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            run()
        torch.cuda.synchronize()
        release(self._device)  # the rehearsal's memory; the graph has its own
        reserved = torch.cuda.memory_reserved()
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on allocating meanwhile, such as the one that copies frames.
        with torch.cuda.graph(
            graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"
        ):
            made = run()
        self._held_bytes += max(0, torch.cuda.memory_reserved() - reserved)
        return made, graph.replay

    def let_go(self, forget: Callable[[], None]) -> None:
        """Give the memory pool back, with all graphs, when what was replayed is done."""
        if self._pool is not None:
            torch.cuda.synchronize(self._device)
        forget()
        if self._pool is not None:
            self._pool, self._held_bytes = None, 0
            release(self._device)
