"""What a pipeline does not tell its callbacks: when its loop ends, and how large the picture is.

Both are variables of the pipeline's ``__call__``, which is on the stack while a callback runs: the
progress bar is closed when the loop ends, whether it came to its end, was interrupted, or failed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["RunningCall", "running_call"]


@dataclass(frozen=True, slots=True)
class RunningCall:
    """The call of a pipeline that has called back.

    Attributes:
        size: Height and width of the picture in pixels; None where they are not known.
        bar: The progress bar of its loop; None where it has none.
    """

    size: tuple[int, int] | None = None
    bar: Any = None

    def when_it_ends(self, then: Callable[[], None]) -> None:
        """Call a function once, when the loop ends in whatever way."""
        bar = self.bar
        if bar is None:
            return
        close = bar.close

        def close_and_tell() -> None:
            bar.close = close
            then()
            close()

        bar.close = close_and_tell


def running_call(pipe: Any) -> RunningCall:
    """The call that this is called back from, at whatever distance."""
    frame = inspect.currentframe()
    while frame is not None:
        if "progress_bar" in frame.f_code.co_varnames and frame.f_locals.get("self") is pipe:
            return _call_of(frame.f_locals)
        frame = frame.f_back
    return RunningCall()


def _call_of(variables: dict[str, Any]) -> RunningCall:
    height, width = variables.get("height"), variables.get("width")
    known = isinstance(height, int) and isinstance(width, int)
    bar = variables.get("progress_bar")
    return RunningCall(
        (height, width) if known else None,  # type: ignore[arg-type]
        bar if callable(getattr(bar, "close", None)) else None,
    )
