"""``python -m benchmarks.gigapixel``: a picture larger than memory, beside a small one.

The large one is decoded once, by the command line in a process of its own, from a synthetic latent;
pictures of 2048 pixels a side come before it and after it, since machines drift.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from benchmarks.machine import this_machine
from benchmarks.weights import SCALE, decoder_weights

__all__ = ["main"]

_SMALL = 2048
_TURNS = 3
_WEIGHTS = "taesd_decoder.safetensors"
_CHANNELS = 4


@dataclass(frozen=True, slots=True)
class _Done:
    """One decode.

    Attributes:
        pixels: A side of the picture.
        seconds: From the first latent to the finished file.
        peak_bytes: The most memory that its process has held.
        plan: What it said it would do.
    """

    pixels: int
    seconds: float
    peak_bytes: int
    plan: str

    @property
    def megapixels_per_second(self) -> float:
        return self.pixels**2 / 1e6 / self.seconds

    def __str__(self) -> str:
        return (
            f"{self.pixels}x{self.pixels}: {self.seconds:.1f} s,"
            f" {self.megapixels_per_second:.3f} megapixels/s, peak of the whole process"
            f" {self.peak_bytes / 2**20:.0f} MiB"
        )


def main(argv: Sequence[str]) -> int:
    """Decode, and print what there is to say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gigapixel", description=__doc__)
    parser.add_argument("--pixels", type=int, default=32768, metavar="N", help="a side")
    parser.add_argument("--memory", default="1GiB", metavar="SIZE")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--suffix", default=".tif", help="of the output")
    parser.add_argument("--resume", action="store_true", help="keep finished rows meanwhile")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary one")
    options = parser.parse_args(argv)
    print(this_machine(["gigapixel", *argv]), flush=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        save_file(decoder_weights(), folder / _WEIGHTS)
        bare = _bare_bytes(folder)
        print(f"a process that has loaded the model: {bare / 2**20:.0f} MiB", flush=True)
        found = []
        for pixels in (*[_SMALL] * _TURNS, options.pixels, *[_SMALL] * _TURNS):
            found.append(_decode(folder, pixels, options))
            print(f"{found[-1].plan}\n{found[-1]}", flush=True)
    large = found.pop(_TURNS)
    small = statistics.median(each.megapixels_per_second for each in found)
    print(
        f"{large.pixels} beside the median of {_SMALL}:"
        f" {large.megapixels_per_second / small:.3f} times its"
        f" megapixels/s; above the loaded model {(large.peak_bytes - bare) / 2**20:.0f} MiB of"
        f" {options.memory}"
    )
    return 0


def _write_latent(path: Path, side: int) -> None:
    """A smooth and noisy latent, (4, side, side) in float16, written row by row."""
    rng = np.random.default_rng(0)
    across = np.linspace(0, 40, side, dtype=np.float32)
    file = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float16, shape=(_CHANNELS, side, side)
    )
    for row in range(side):
        for channel in range(_CHANNELS):
            wave = np.sin(across * (channel + 1) / 4 + row / 50)
            file[channel, row] = wave + 0.3 * rng.standard_normal(side, dtype=np.float32)


_LOAD = (
    "import sys, resource, taesd_stream as ts;"
    "ts.load(sys.argv[1], variant='taesd', backend='torch', dtype=sys.argv[2]);"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
)


def _bare_bytes(folder: Path) -> int:
    command = [sys.executable, "-c", _LOAD, str(folder / _WEIGHTS), "bfloat16"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _decode(folder: Path, pixels: int, options: argparse.Namespace) -> _Done:
    latent, out = folder / f"{pixels}.npy", folder / f"{pixels}{options.suffix}"
    if not latent.exists():
        _write_latent(latent, pixels // SCALE)
    command = [
        sys.executable, "-m", "taesd_stream", "decode", str(latent), str(out), "--overwrite",
        "--model", str(folder / _WEIGHTS), "--variant", "taesd", "--json",
        "--memory", options.memory, "--dtype", options.dtype, "--backend", options.backend,
        *(["--resume"] if options.resume else []),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    text = process.stdout.read() if process.stdout is not None else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    said = json.loads(text)
    plan = said["plan"]
    height, width = plan["tile"]
    return _Done(
        pixels=pixels,
        seconds=said["seconds"],
        peak_bytes=usage.ru_maxrss * 1024,
        plan=(
            f"{plan['tiles']} tiles of up to {width}x{height} latents on {plan['where']}; recompute"
            f" {plan['recompute']:.1%}, planned peak {plan['peak_bytes'] / 2**20:.0f} MiB"
        ),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
