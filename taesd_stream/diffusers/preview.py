"""Pictures of what a pipeline is making, while it makes it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from taesd_stream.diffusers.giving_way import GivingWay
from taesd_stream.diffusers.loop_watch import Choice, LoopWatch
from taesd_stream.diffusers.pictures import Picture, Pictures, Shown, Sketch, preview_model
from taesd_stream.diffusers.shown_on import PreviewTarget, shown_on
from taesd_stream.engine.device_copies import OwnStream, Transfer
from taesd_stream.errors import InputError
from taesd_stream.jobs.model_for_latents import Model
from taesd_stream.sinks import Sink
from taesd_stream.sinks.failing import failure_of
from video.closing import Closing
from video.newest_only import Check, NewestOnly

__all__ = ["Preview"]

_log = logging.getLogger("taesd_stream")


class Preview(Closing):
    """Shows what a pipeline is making: ``callback_on_step_end=Preview("taesd", "preview.png")``.

    Pictures are of x0, the clean latents that a step leads to. The pipeline does not wait for them:
    they are made in a thread of their own, and those that come too late are left out. Where all
    cores are at work, as with a sampler on the CPU, it makes one only as often as takes a fiftieth
    of the time. Whatever goes wrong with them is logged once, and the pipeline goes
    on. Its results are the same with and without.

    To know x0, ``pipe.scheduler.step`` is wrapped from the end of a step to the next one, which
    puts it back as it begins. Where none comes, it is put back when the pipeline's loop ends, be it
    interrupted or by an error. So x0 is known from the second step on; with ``preview.watching``
    around the call, from the first.

    One preview serves any number of calls. The last picture is there at the end of a ``with``
    block, after ``close``, or when the process ends.

    Args:
        model: What ``taesd_stream.load`` takes, a loaded model, or a ``TiledVAE``.
        target: A .png, .jpg or .webp that is replaced by each picture in one step; a folder that is
            there, or a name with ``%d``, for numbered ones; a video; a function of a picture, an
            array (H, W, 3) of RGB bytes; something with ``write`` and ``close``, which is not
            closed; or "notebook" (or None), the output of the cell.
        every: Show every so many steps; the last step always is shown.
        x0: Whether clean latents are shown, or else those that are still noisy.
        shown: Which latent of a video: "first", "middle", "last", or all three as a "strip".
        size: Height and width in pixels of packed latents, where the pipeline does not tell.
        threads: The cores of a CPU that pictures are computed on while the pipeline runs; None is
            all, which the last picture has in any case.

    Raises:
        InputError: The model or the target cannot be used, or an option makes no sense.
        MissingExtraError: Pictures are to be shown in a notebook and IPython is not installed.
    """

    def __init__(
        self,
        model: Model,
        target: PreviewTarget = None,
        *,
        every: int = 1,
        x0: bool = True,
        shown: Shown = "middle",
        size: tuple[int, int] | None = None,
        threads: int | None = 1,
    ) -> None:
        self._choice = Choice(every, x0)
        self._sink = shown_on(target)
        self._owns_sink = self._sink is not target
        self._faults = _Faults()
        pictures = Pictures(preview_model(model), shown, size=size, threads=threads)
        self._latents_in = pictures.latents_in
        giving_way = GivingWay(pictures.model, threads)
        drawing = _Drawing(pictures, self._sink, self._faults, giving_way)
        self._drawing = NewestOnly(drawing.draw, drawing.show, drawing.may_begin)
        self._loops: dict[int, LoopWatch] = {}  # by the pipeline's id, while it is called
        self._is_closed = False

    @property
    def dropped(self) -> int:
        """How many pictures were left out, since newer latents came before they were begun."""
        return self._drawing.dropped

    @property
    def failure(self) -> str | None:
        """What went wrong first; None if nothing did."""
        return self._faults.first

    def __call__(
        self, pipe: Any, index: int, timestep: Any, callback_kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Be called back by a pipeline at the end of a step.

        Returns:
            ``callback_kwargs``, as they came.
        """
        try:
            self._step_ended(pipe, index, callback_kwargs)
        except Exception as error:
            self._faults.tell(error)
        return callback_kwargs

    @contextmanager
    def watching(self, pipe: Any) -> Iterator[None]:
        """Inside it the first step's x0 is known, too; for one call of the pipeline."""
        loop = self._new_loop(pipe)
        loop.begin()
        try:
            yield
        finally:
            loop.end()

    def close(self) -> None:
        """Make what is left of the last picture, and finish what was opened for the target."""
        self._is_closed = True
        for loop in list(self._loops.values()):
            loop.end()
        self._drawing.close()
        if self._owns_sink:
            try:
                self._sink.close()
            except Exception as error:
                self._faults.tell(error)

    def _step_ended(self, pipe: Any, index: int, kwargs: dict[str, Any]) -> None:
        if self._is_closed:
            raise InputError("expected one that is open, found that it was closed; make another")
        loop = self._loops.get(id(pipe))
        if loop is not None and loop.index >= index:  # its end was not seen
            loop.end()
            loop = None
        loop = loop or self._new_loop(pipe)
        sketch = loop.step_ended(index, kwargs)
        if sketch is not None:
            self._drawing.put(_Coming.of(sketch, self._latents_in(sketch)))

    def _new_loop(self, pipe: Any) -> LoopWatch:
        key, loops = id(pipe), self._loops
        loops[key] = LoopWatch(pipe, self._choice, then=lambda: loops.pop(key, None))
        return loops[key]


@dataclass(frozen=True, slots=True)
class _Coming:
    """A sketch whose latents are on their way to the host's memory, where nobody changes them.

    Attributes:
        sketch: It, without its latents.
        latents: They.
        count: How many of them are decoded for the picture.
    """

    sketch: Sketch
    latents: Transfer
    count: int

    @classmethod
    def of(cls, sketch: Sketch, count: int) -> _Coming:
        """That of the first of a batch; a GPU is not waited for."""
        one = sketch.latents.detach()[:1]
        on_way = Transfer([one.clone() if one.device.type == "cpu" else one])
        return cls(replace(sketch, latents=one[:0]), on_way, count)

    def here(self) -> Sketch:
        """The sketch, once it is there."""
        return replace(self.sketch, latents=self.latents.tensors()[0])


class _Faults:
    """Tells of the first thing that goes wrong, and of none after it.

    Attributes:
        first: What went wrong first; None if nothing did.
    """

    def __init__(self) -> None:
        self.first: str | None = None

    def tell(self, error: Exception) -> None:
        if self.first is None:
            self.first = failure_of(error)
            _log.warning("preview: %s; the pipeline goes on", self.first)


class _Drawing:
    """Makes pictures and shows them; whatever goes wrong is told and goes no further.

    Args:
        pictures: Makes them.
        sink: Shows them.
        faults: Is told.
        giving_way: Says when a picture may be begun.
    """

    def __init__(
        self, pictures: Pictures, sink: Sink, faults: _Faults, giving_way: GivingWay
    ) -> None:
        self._pictures, self._sink, self._faults = pictures, sink, faults
        self._giving_way = giving_way
        self._stream = OwnStream(pictures.model.settings.device)

    def may_begin(self, coming: _Coming, rested: float) -> bool:
        """Whether a picture may be begun, so many seconds after the last one."""
        return self._giving_way.may_begin(coming.count, rested)

    def draw(self, coming: _Coming, check: Check | None) -> Picture | None:
        """Make a picture, with no check for who waits for it; None if that went wrong."""
        try:
            with self._stream.alone():
                if check is None:
                    return self._pictures.of(coming.here(), at_once=True)
                with self._giving_way.timing(coming.count):
                    return self._pictures.of(coming.here(), lambda done, total: check())
        except Exception as error:
            self._faults.tell(error)
        return None

    def show(self, picture: Picture | None) -> None:
        """Write a picture, if there is one."""
        try:
            if picture is not None:
                self._sink.write(picture)
        except Exception as error:
            self._faults.tell(error)
