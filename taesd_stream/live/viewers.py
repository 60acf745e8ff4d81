"""Those who watch, and what became of the frames for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from taesd_stream.errors import TaesdStreamError

__all__ = ["FullError", "Viewer", "Viewers"]


class FullError(TaesdStreamError):
    """There is no room for one more."""


@dataclass(slots=True)
class Viewer:
    """One who watches.

    Attributes:
        kind: "webrtc" or "mjpeg".
        sent: Frames that were sent.
        dropped: Frames that were not: newer ones had come.
    """

    kind: str
    sent: int = 0
    dropped: int = 0


class Viewers:
    """All who watch, and how much was sent to those who did.

    Args:
        most: How many may watch at once.

    >>> viewers = Viewers(most=1)
    >>> one, leave = viewers.enter("mjpeg")
    >>> one.sent += 3
    >>> leave()
    >>> viewers.present, viewers.sent, viewers.dropped
    ((), {'mjpeg': 3}, {'mjpeg': 0})
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._present: list[Viewer] = []
        self._sent: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()

    def enter(self, kind: str) -> tuple[Viewer, Callable[[], None]]:
        """One more, and what is to be called when they leave; a second call of it does nothing.

        Raises:
            FullError: So many watch already.
        """
        if len(self._present) >= self._most:
            raise FullError(
                "viewers: expected fewer, found as many as there may be; try again later"
            )
        viewer = Viewer(kind)
        self._present.append(viewer)

        def leave() -> None:
            if any(each is viewer for each in self._present):
                self._present = [each for each in self._present if each is not viewer]
                self._sent[kind] += viewer.sent
                self._dropped[kind] += viewer.dropped

        return viewer, leave

    @property
    def present(self) -> tuple[Viewer, ...]:
        """Those who watch now."""
        return tuple(self._present)

    @property
    def sent(self) -> dict[str, int]:
        """Frames that were sent so far, by kind of viewer."""
        return self._with_present(self._sent, "sent")

    @property
    def dropped(self) -> dict[str, int]:
        """Frames that were dropped so far, by kind of viewer."""
        return self._with_present(self._dropped, "dropped")

    def _with_present(self, gone: Counter[str], name: str) -> dict[str, int]:
        counts = Counter(gone)
        for viewer in self._present:
            counts[viewer.kind] += getattr(viewer, name)
        return dict(counts)
