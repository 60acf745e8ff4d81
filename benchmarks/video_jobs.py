"""The jobs of the video: decoding alone, encoding alone, and both as ``render`` does them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import taesd_stream as ts
import video
from benchmarks.decoders.ours import load_ours
from benchmarks.task import Arguments, Kind, Task
from benchmarks.weights import SCALE, panned_latents

__all__ = ["DECODE", "ENCODE", "RENDER"]

_RATE = 24


def _preload(arguments: Arguments) -> None:
    import av  # noqa: F401


def _load(arguments: Arguments) -> ts.AutoEncoder:
    return load_ours(arguments["dtype"], arguments["backend"], arguments["device"])


def _open_decode(arguments: Arguments, threads: int) -> Task:
    ae = _load(arguments)
    z = panned_latents(arguments["pixels"] // SCALE, arguments["frames"])

    def run() -> int:
        return sum(1 for _ in ae.stream(z))

    return Task(run, detail=str(ae.plan(tuple(z.shape[1:]), frames=len(z))))


def _open_encode(arguments: Arguments, threads: int) -> Task:
    ae = _load(arguments)
    z = panned_latents(arguments["pixels"] // SCALE, arguments["frames"])
    frames: list[NDArray[np.uint8]] = list(ae.stream(z))
    height, width, _ = frames[0].shape

    def run() -> int:
        with (
            tempfile.TemporaryDirectory() as folder,
            video.open_writer(
                Path(folder, "out.mp4"), width=width, height=height, rate=_RATE, codec="h264"
            ) as writer,
        ):
            for frame in frames:
                writer.write(frame)
        return writer.frames_written

    return Task(run, detail=f"{len(frames)} frames that are ready in memory, to h264")


def _open_render(arguments: Arguments, threads: int) -> Task:
    ae = _load(arguments)
    z = panned_latents(arguments["pixels"] // SCALE, arguments["frames"])

    def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "out.mp4")
            return ts.render(z, out, model=ae, fps=_RATE, codec="h264").frames

    return Task(run, detail="decode and h264 to .mp4 by render")


DECODE = Kind(_preload, _open_decode)
ENCODE = Kind(_preload, _open_encode)
RENDER = Kind(_preload, _open_render)
