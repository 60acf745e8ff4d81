"""Exported graphs run as other programs run them: with ONNX Runtime and NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

__all__ = ["Array", "decoded_clip", "encoded_clip", "run", "session_of"]

Array = npt.NDArray[Any]


def session_of(path: object) -> Any:
    """A session on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(session: Any, **given: Array) -> dict[str, Array]:
    """All outputs by name."""
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, given), strict=True))


def decoded_clip(session: Any, latents: Array) -> Array:
    """All raw frames, (N, T, 3, H, W), of (N, T, C, h, w), one latent after the other."""
    memories = _zeros(session, latents.shape[0], latents.shape[3], latents.shape[4])
    made = []
    for step in range(latents.shape[1]):
        outputs = run(session, latents=latents[:, step], **memories)
        made.append(outputs["images"])
        memories = _next(outputs)
    return np.concatenate(made, axis=1)


def encoded_clip(session: Any, images: Array) -> Array:
    """All latents, (N, T, C, h, w), of (N, T, 3, H, W)."""
    frames = session.get_inputs()[0].shape[1]
    memories = _zeros(session, images.shape[0], images.shape[3], images.shape[4])
    made = []
    for first in range(0, images.shape[1], frames):
        outputs = run(session, images=images[:, first : first + frames], **memories)
        made.append(outputs["latents"])
        memories = _next(outputs)
    return np.stack(made, axis=1)


def _zeros(session: Any, batch: int, height: int, width: int) -> dict[str, Array]:
    """What is remembered at the beginning, in the shapes that the file tells."""
    sizes = {"batch": batch, "height": height, "width": width, "ceil": math.ceil}
    return {
        each.name: np.zeros([eval(str(dim), sizes) for dim in each.shape], np.float32)
        for each in session.get_inputs()[1:]
    }


def _next(outputs: Mapping[str, Array]) -> dict[str, Array]:
    return {
        name.removeprefix("next_"): array
        for name, array in outputs.items()
        if name.startswith("next_memory_")
    }
