"""What ``taesd-video decode`` does until its first frame is there, timed in this process.

``python -m benchmarks.start_phases BEGAN LATENTS DTYPE BACKEND`` prints milliseconds as JSON; BEGAN
is when the process was started, in seconds since the epoch. Nothing heavy is imported up here: that
is what is timed.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise

__all__ = ["PHASES"]

PHASES = ("interpreter", "imports", "model", "plan", "first frame")


def _main(began: float, path: str, dtype: str, backend: str) -> None:
    at = [began, time.time()]
    from taesd_stream.cli.main import modules_kept

    with modules_kept():
        import taesd_stream.cli.commands  # noqa: F401
    at.append(time.time())

    from taesd_stream.engine.options import ModelOptions, TileOptions
    from taesd_stream.jobs.decoding_run import FrameDecoding, open_decoding
    from taesd_stream.jobs.model_for_latents import open_with_model
    from taesd_stream.jobs.output import Output

    source, ae = open_with_model(path, "nano", ModelOptions(dtype=dtype, backend=backend))
    at.append(time.time())
    decoding = open_decoding(source, ae, TileOptions(), Output("out.mp4"), None)
    if not isinstance(decoding, FrameDecoding):
        raise TypeError("expected frames, found a picture in bands")
    at.append(time.time())
    frames = decoding.run.tensors()
    next(frames)
    at.append(time.time())
    took = (1e3 * (after - before) for before, after in pairwise(at))
    print(json.dumps(dict(zip(PHASES, took, strict=True))))


if __name__ == "__main__":
    _main(float(sys.argv[1]), *sys.argv[2:5])
