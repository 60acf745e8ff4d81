"""Jobs whose files are at addresses: made, or read, as files of this machine."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import ParamSpec, TypeVar

from taesd_stream.errors import InputError, OutputExistsError
from taesd_stream.jobs.results import Encoded, Rendered
from taesd_stream.remote.addresses import is_address
from taesd_stream.remote.outputs import RemoteOutput
from taesd_stream.remote.scratch import copied

__all__ = ["copies_inputs", "delivers_output"]

P = ParamSpec("P")
R = TypeVar("R", Rendered, Encoded)


def delivers_output(job: Callable[P, R]) -> Callable[P, R]:
    """Let ``out`` of a job be an address: the result is made here, and uploaded.

    ``overwrite`` is about what is at the address. Where ``resume`` is given, what an earlier run
    left on this machine is gone on with, and what it has finished is only uploaded.
    """
    signature = inspect.signature(job)

    @functools.wraps(job)
    def delivered(*args: P.args, **kwargs: P.kwargs) -> R:
        if not any(map(is_address, (*args, *kwargs.values()))):
            return job(*args, **kwargs)
        given = signature.bind(*args, **kwargs)
        values = given.arguments
        address, preview = values.get("out"), values.get("preview")
        if is_address(preview):
            raise InputError(
                f"preview: expected a file of this machine, found {preview!r}; give a path"
            )
        if not is_address(address):
            return job(*args, **kwargs)
        overwrite, resume = bool(values.get("overwrite")), bool(values.get("resume"))
        output = RemoteOutput.at(address, overwrite=overwrite)
        with output.made(resume=resume, progress=bool(values.get("progress"))) as path:
            values.update(out=path, overwrite=False)
            try:
                done = job(*given.args, **given.kwargs)
            except OutputExistsError:  # finished, by a run of other settings
                if not overwrite:
                    raise
                values.update(overwrite=True)
                done = job(*given.args, **given.kwargs)
        return replace(done, path=address)

    return delivered


def copies_inputs(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let arguments of a job be addresses of files, which are copied for as long as it runs."""

    def decorate(job: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(job)

        @functools.wraps(job)
        def with_copies(*args: P.args, **kwargs: P.kwargs) -> R:
            if not any(map(is_address, (*args, *kwargs.values()))):
                return job(*args, **kwargs)
            given = signature.bind(*args, **kwargs)
            with ExitStack() as copies:
                for name in names:
                    value = given.arguments.get(name)
                    if is_address(value):
                        given.arguments[name] = copies.enter_context(copied(value, name))
                return job(*given.args, **given.kwargs)

        return with_copies

    return decorate
