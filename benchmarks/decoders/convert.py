"""The plain decoder in OpenVINO's form.

``python -m benchmarks.decoders.convert PRECISION SIDE XML`` is a process of its own, since what
converting leaves behind in memory is not the decoder's.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import openvino
import torch

from benchmarks.decoders.plain import load_plain
from benchmarks.weights import LATENT_CHANNELS, latents

__all__ = ["convert", "converted"]

_CALIBRATION_SIDE = 32
_CALIBRATION_PICTURES = 8
_CALIBRATION_SEED = 1000


def convert(precision: str, side: int) -> Any:
    """The network for one plane of ``side`` x ``side`` latents, quantized by NNCF for int8."""
    shape = (1, LATENT_CHANNELS, side, side)
    plain = load_plain()
    if precision != "int8":
        return openvino.convert_model(plain, example_input=torch.zeros(shape), input=[shape])
    import nncf

    small = (1, LATENT_CHANNELS, _CALIBRATION_SIDE, _CALIBRATION_SIDE)
    model = openvino.convert_model(plain, example_input=torch.zeros(small), input=[small])
    samples = latents(_CALIBRATION_SIDE, _CALIBRATION_PICTURES, _CALIBRATION_SEED)
    dataset = nncf.Dataset([sample[None].numpy() for sample in samples])
    quantized = nncf.quantize(model, dataset, subset_size=_CALIBRATION_PICTURES)
    quantized.reshape(list(shape))
    return quantized


def converted(precision: str, side: int, folder: Path) -> Path:
    """The same as a file in ``folder``, made by another process."""
    path = folder / "decoder.xml"
    command = [sys.executable, "-m", "benchmarks.decoders.convert", precision, str(side), str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


if __name__ == "__main__":
    openvino.save_model(convert(sys.argv[1], int(sys.argv[2])), sys.argv[3], compress_to_fp16=False)
