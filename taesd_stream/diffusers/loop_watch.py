"""One call of a pipeline, and the latents of those of its steps that are to be shown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from taesd_stream.diffusers.pictures import Sketch
from taesd_stream.diffusers.running_call import RunningCall, running_call
from taesd_stream.diffusers.step_watch import StepWatch
from taesd_stream.errors import InputError

__all__ = ["Choice", "LoopWatch"]

_log = logging.getLogger("taesd_stream")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which steps are shown, and what of them.

    Attributes:
        every: Every so many steps; the last one always is.
        x0: Whether clean latents are shown, or else those that are still noisy.

    Raises:
        InputError: ``every`` is no number of steps.
    """

    every: int = 1
    x0: bool = True

    def __post_init__(self) -> None:
        if type(self.every) is not int or self.every < 1:
            raise InputError(f"every: expected a number of steps from 1 up, found {self.every!r}")

    def takes(self, index: int, total: int) -> bool:
        """Whether a step is shown, of so many; the first has the index 0."""
        return (index + 1) % self.every == 0 or index + 1 >= total


class LoopWatch:
    """Follows one call of a pipeline by what it tells a callback at the end of each step.

    x0 of a step is known if the step was watched, which is begun at the end of the step before, or
    by ``begin`` for the first one. Only steps that are shown are watched.

    Args:
        pipe: The pipeline.
        choice: Which steps are shown.
        then: Called when the loop has ended, as far as that is seen; perhaps more than once.

    Attributes:
        index: Of the last step that was told of; -1 before the first.
    """

    def __init__(
        self, pipe: Any, choice: Choice, then: Callable[[], object] = lambda: None
    ) -> None:
        self.index = -1
        self._size: tuple[int, int] | None = None
        self._pipe, self._choice, self._then = pipe, choice, then
        self._watch = StepWatch(pipe)
        self._has_told = False

    def begin(self) -> None:
        """Watch the first step, before the pipeline is called; there has to be an ``end``, too."""
        if self._choice.x0:
            self._watch.begin()

    def end(self) -> None:
        """Put the scheduler's step back, wherever the call was left."""
        self._watch.end()
        self._then()

    def step_ended(self, index: int, kwargs: Mapping[str, Any]) -> Sketch | None:
        """Take note of a step; to be called by the callback, as long as the pipeline runs.

        Args:
            index: Of the step.
            kwargs: What the pipeline hands over, with the latents after the step.

        Returns:
            What is to be shown; None if nothing is.
        """
        if self.index < 0:
            self._look_at(running_call(self._pipe))
        self.index = index
        x0, total = self._watch.end(), self._total()
        shown = x0 if self._choice.x0 else kwargs.get("latents")
        if x0 is None and self._choice.x0:
            shown = self._instead_of_x0(kwargs, is_last=index + 1 >= total)
        if index + 1 >= total:
            self.end()
        elif self._choice.x0 and self._choice.takes(index + 1, total):
            self._watch.begin()
        if shown is None or not self._choice.takes(index, total):
            return None
        return Sketch.of(shown, self._pipe, self._size)

    def _look_at(self, call: RunningCall) -> None:
        self._size = call.size
        call.when_it_ends(self.end)

    def _total(self) -> int:
        """The steps of this call."""
        told = getattr(self._pipe, "num_timesteps", None)
        return told if isinstance(told, int) else len(self._pipe.scheduler.timesteps)

    def _instead_of_x0(self, kwargs: Mapping[str, Any], *, is_last: bool) -> Tensor | None:
        """What is shown where x0 is not known: after the last step the latents are clean."""
        if self._watch.saw_step and not self._has_told:
            self._has_told = True
            _log.info(
                "preview: %s does not let x0 be known; its noisy latents are shown",
                type(self._pipe.scheduler).__name__,
            )
        return kwargs.get("latents") if self._watch.saw_step or is_last else None
