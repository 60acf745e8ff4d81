"""A running pipeline as an iterator over its steps."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from contextvars import copy_context
from typing import Any, TypeAlias

import torch
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback

from taesd_stream.diffusers.loop_watch import Choice, LoopWatch
from taesd_stream.diffusers.pictures import Picture, Pictures, Shown, preview_model
from taesd_stream.errors import InputError
from taesd_stream.jobs.model_for_latents import Model
from video.channel import Channel, ClosedError
from video.worker import Worker

__all__ = ["Steps", "steps"]

_Call: TypeAlias = Callable[[Callable[..., Any]], Any]
"""Calls a pipeline with a callback."""


def steps(
    pipe: Any,
    *args: Any,
    model: Model | None = None,
    every: int = 1,
    x0: bool = True,
    shown: Shown = "middle",
    **call: Any,
) -> Steps:
    """Call a pipeline and iterate over its steps: ``for step, image in steps(pipe, "a castle"):``.

    Args:
        pipe: A pipeline of diffusers that calls back at the end of steps.
        *args: What it is called with.
        model: Makes the pictures; as of ``Preview``. None is the pipeline's VAE if that is a tiny
            one, or the official tiny model for the same latents, which is loaded by its name.
        every: As of ``Preview``; so are ``x0`` and ``shown``.
        **call: What it is called with, by name.

    Returns:
        An iterable of the step's index, from 0, and its picture, an array (H, W, 3) of RGB bytes.

    Raises:
        InputError: There is no such model, or an option makes no sense.
    """
    if not hasattr(pipe, "scheduler"):
        raise InputError(
            f"pipe: expected a pipeline of diffusers with a scheduler, found {type(pipe).__name__}"
        )
    pictures = Pictures(preview_model(model, pipe), shown)

    def called(back: Callable[..., Any]) -> Any:
        return pipe(*args, **_with_callback(call, back))

    return Steps(called, LoopWatch(pipe, Choice(every, x0)), pictures)


class Steps:
    """The steps of one call of a pipeline; made by ``steps``.

    The pipeline begins with the iteration, in a thread of its own, and is at most a step ahead of
    the loop: each picture is made before the pipeline goes on. Where the loop is left early, the
    pipeline is interrupted and waited for. What the pipeline raises is raised in the loop.
    """

    def __init__(self, call: _Call, loop: LoopWatch, pictures: Pictures) -> None:
        self._call, self._loop, self._pictures = call, loop, pictures
        self._was_begun = self._is_left = False
        self._results: list[Any] = []

    @property
    def result(self) -> Any:
        """What the pipeline returned.

        Raises:
            InputError: It has not, since the loop has not come to its end.
        """
        if not self._results:
            raise InputError(
                "result: expected a loop that came to its end, found none; iterate first"
            )
        return self._results[0]

    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        if self._was_begun:
            raise InputError("steps: expected one loop over them, found a second; call steps again")
        self._was_begun = True
        return self._steps(Channel(most=1))

    def _steps(
        self, channel: Channel[tuple[int, Picture]]
    ) -> Generator[tuple[int, Picture], None, None]:
        context, modes = copy_context(), _modes_of_this_thread()
        worker = Worker(lambda: context.run(self._run, channel, modes), then=lambda: None)

        def leave() -> None:
            self._is_left = True
            channel.close()
            worker.wait()

        atexit.register(leave)
        try:
            yield from channel
        finally:
            atexit.unregister(leave)
            leave()

    def _run(
        self, channel: Channel[tuple[int, Picture]], modes: list[AbstractContextManager[object]]
    ) -> None:
        """Call the pipeline, and put its steps into a channel; in a thread of its own."""

        def called_back(
            pipe: Any, index: int, timestep: Any, kwargs: dict[str, Any]
        ) -> dict[str, Any]:
            sketch = self._loop.step_ended(index, kwargs)
            if sketch is not None and not self._is_left:
                with suppress(ClosedError):
                    channel.put((index, self._pictures.of(sketch)))
            if self._is_left:
                _interrupt(pipe)
            return kwargs

        failure: BaseException | None = None
        try:
            with ExitStack() as entered:
                for mode in modes:
                    entered.enter_context(mode)
                self._loop.begin()
                entered.callback(self._loop.end)
                result = self._call(called_back)
            if not self._is_left:
                self._results.append(result)
        except BaseException as error:
            failure = error
        channel.end(failure)
        del failure  # else its traceback and this frame would hold each other


class _LeftError(Exception):
    """Ends a pipeline that cannot be interrupted in another way."""


def _interrupt(pipe: Any) -> None:
    if not hasattr(pipe, "interrupt"):
        raise _LeftError
    pipe._interrupt = True


def _with_callback(call: dict[str, Any], ours: Callable[..., Any]) -> dict[str, Any]:
    """What a pipeline is called with, so that it calls back, after the caller's own callback."""
    theirs = call.get("callback_on_step_end")
    if theirs is None:
        return {**call, "callback_on_step_end": ours}
    inputs = {}
    if isinstance(theirs, PipelineCallback | MultiPipelineCallbacks):
        inputs["callback_on_step_end_tensor_inputs"] = theirs.tensor_inputs

    def both(pipe: Any, index: int, timestep: Any, kwargs: dict[str, Any]) -> Any:
        return ours(pipe, index, timestep, theirs(pipe, index, timestep, kwargs))

    return {**inputs, **call, "callback_on_step_end": both}


def _modes_of_this_thread() -> list[AbstractContextManager[object]]:
    """What is set for this thread and shall be for the pipeline's: autocast, and the GPU."""
    modes: list[AbstractContextManager[object]] = [
        torch.autocast(device, dtype=torch.get_autocast_dtype(device))
        for device in ("cpu", "cuda", "mps")
        if torch.is_autocast_enabled(device)
    ]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        modes.append(torch.cuda.device(torch.cuda.current_device()))
    return modes
