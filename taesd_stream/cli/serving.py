"""The command `serve`: a page that is served until Ctrl-C."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from contextlib import ExitStack

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.options import ModelOptions
from taesd_stream.errors import InputError, Interrupted
from taesd_stream.jobs.model_for_latents import load_model, open_with_model
from taesd_stream.latents import LatentSource
from taesd_stream.latents.read_options import LatentOptions
from taesd_stream.live.live_page import LivePage
from taesd_stream.models.shortcuts import Shortcuts

__all__ = ["serve_page"]

_MODEL_TO_PUSH_TO = "taesd"


def serve_page(given: Namespace) -> None:
    """Serve a page until Ctrl-C.

    Raises:
        InputError: An argument is wrong, or the port is taken.
        Interrupted: Ctrl-C, when everything is finished.
    """
    with ExitStack() as opened:
        source, model = _opened(given, opened)
        page = opened.enter_context(
            LivePage(
                source,
                model=model,
                frames=given.frames,
                fps=given.fps,
                loop=given.loop,
                title=given.title or _name(given.input),
                host=given.host,
                port=given.port,
                token=given.token,
                certificate=given.certificate,
                private_key=given.private_key,
                recordings=given.recordings,
                publish=given.publish,
                overwrite=given.overwrite,
                tile=given.tile,
                overlap=given.overlap,
                memory=given.memory,
                crop=given.crop,
                wrap=given.wrap,
                threads=given.threads,
                chunk=given.chunk,
                seed=given.seed,
            )
        )
        _say_where(page, given)
        try:
            page.wait()
        except KeyboardInterrupt as error:
            shown = page.status.shown
            page.close()
            raise Interrupted(f"stopped; {shown} frames were shown{_recorded(page)}") from error


def _opened(given: Namespace, opened: ExitStack) -> tuple[LatentSource | None, AutoEncoder]:
    """The latents to play, if there are any, and the model."""
    options = ModelOptions(
        *(given.variant, given.device, given.dtype, given.backend),
        *(given.time_upscale, given.space_upscale),
        convention=given.convention,
        vae=given.vae,
        shortcuts=Shortcuts(given.fast_norms, given.fast_attention),
    )
    if given.input is None:
        for name in ("layout", "key", "size", "skip_latents"):
            if getattr(given, name):
                raise InputError(f"{name}: expected none without IN, found {getattr(given, name)}")
        return None, load_model(given.model or given.variant or _MODEL_TO_PUSH_TO, options)
    reading = LatentOptions(
        given.layout, given.key, given.convention, given.size, given.skip_latents
    )
    source, model = open_with_model(given.input, given.model, options, reading=reading)
    return opened.enter_context(source), model


def _name(source: str | None) -> str | None:
    """The name of a file, or what was given in its place."""
    return None if source is None else os.path.basename(source) or source


def _say_where(page: LivePage, given: Namespace) -> None:
    """Print the page's address: one JSON object, or words."""
    if given.json:
        print(json.dumps({"url": page.url, "port": page.port, "token": page.token}), flush=True)
        return
    if page.status.plan is not None:
        print(page.status.plan, file=sys.stderr)
    print(f"open {page.url} (stop with ctrl-C)", flush=True)
    if given.input is None:
        print(
            f"taesd-video: it shows latents of {page.status.model} that are pushed to"
            f" {page.url_of('latents')}",
            file=sys.stderr,
        )


def _recorded(page: LivePage) -> str:
    names = page.status.recording.finished
    return f", recorded: {', '.join(names)}" if names else ""
