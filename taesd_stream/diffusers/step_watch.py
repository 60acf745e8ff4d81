"""A scheduler's next step, watched: what it was given and what it made tell the clean latents."""

from __future__ import annotations

import inspect
import logging
from copy import deepcopy
from functools import update_wrapper
from typing import Any

from torch import Tensor

from taesd_stream.diffusers.denoised import GivenStep, denoised

__all__ = ["StepWatch"]

_log = logging.getLogger("taesd_stream")


class StepWatch:
    """Watches the next step of a pipeline's scheduler, and only that.

    ``scheduler.step`` is wrapped on the instance when a step is to be watched, and is what it was
    before as soon as the step begins: the wrapper takes itself away. Where no step comes any more,
    ``end`` takes it away. Nothing else is touched, and the step is called as if nobody watched.

    Args:
        pipe: Anything that has a ``scheduler``.

    Attributes:
        saw_step: Whether a step was made between the last ``end`` and the ``begin`` before it.
    """

    def __init__(self, pipe: Any) -> None:
        self.saw_step = False
        self._pipe = pipe
        self._step: _WatchedStep | None = None

    def begin(self) -> None:
        """Watch the next step; if one is waited for, that of the scheduler that is there now."""
        self.end()
        self._step = _WatchedStep(self._pipe.scheduler)

    def end(self) -> Tensor | None:
        """Watch no more.

        Returns:
            x0 of the step that was watched; None if none came, or its scheduler does not tell.
        """
        step, self._step = self._step, None
        self.saw_step = step is not None and step.was_made
        if step is None:
            return None
        step.restore()
        return step.x0


class _WatchedStep:
    """The method ``step`` of a scheduler, which calls what was there before.

    Args:
        scheduler: Has this as its ``step`` from now on, until it is called or ``restore`` is.

    Attributes:
        x0: The clean latents, once it was called, if they can be known.
        was_made: Whether it was called, and returned.
    """

    def __init__(self, scheduler: Any) -> None:
        self.x0: Tensor | None = None
        self.was_made = False
        self._scheduler, self._original = scheduler, scheduler.step
        self._shadowed = vars(scheduler).get("step")
        self._is_done = False
        update_wrapper(self, self._original, updated=())  # pipelines look at its signature
        scheduler.step = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._is_done:
            return self._original(*args, **kwargs)
        self.restore()
        outcome = self._original(*args, **kwargs)
        self.was_made = True
        try:
            bound = inspect.signature(self._original).bind(*args, **kwargs)
            given = GivenStep(self._scheduler, self._original, bound.arguments, outcome)
            self.x0 = denoised(given)
        except Exception as error:  # of schedulers that are like none here
            _log.debug("no x0 of %s: %s", type(self._scheduler).__name__, error)
        return outcome

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        # A copy of the scheduler has its own step, not one that would move this scheduler on.
        return deepcopy(self._original, memo) if id(self._scheduler) in memo else self

    def restore(self) -> None:
        """Put back what was there; where somebody has wrapped this since, it only stops watching.

        That somebody may put this back later: done as it is, it does nothing any more.
        """
        self._is_done = True
        there = vars(self._scheduler)
        if there.get("step") is not self:
            return
        below = self._shadowed
        while isinstance(below, _WatchedStep) and below._is_done:
            below = below._shadowed
        if below is None:
            del there["step"]
        else:
            there["step"] = below
