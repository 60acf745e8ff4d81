"""Results of exporting a model: what is in the file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from taesd_stream.exporting.ports import Dims
from tiling import format_bytes

__all__ = ["Exported"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A file that ``export`` made.

    Attributes:
        path: The file.
        size: Its size in bytes.
        opset: The version of ONNX's operators that it needs.
        operators: Their names.
        inputs: The shape of every input; a word is a size that is the caller's.
        outputs: The shape of every output.
        facts: The metadata of the file, by name.
        decibels: For int8, how near what it makes is to float32, on the latents that it was
            calibrated with: the peak signal-to-noise ratio.
    """

    path: Path
    size: int
    opset: int
    operators: tuple[str, ...]
    inputs: Mapping[str, Dims]
    outputs: Mapping[str, Dims]
    facts: Mapping[str, str]
    decibels: float | None = None

    def __str__(self) -> str:
        facts = self.facts
        near = "" if self.decibels is None else f", {self.decibels:.1f} dB against float32"
        return (
            f"{self.path}: {facts['half']} of {facts['model']}, {facts['dtype']}{near},"
            f" {format_bytes(self.size)}, opset {self.opset}:"
            f" {_shapes(self.inputs)} -> {_shapes(self.outputs)}"
        )

    def to_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "files": [os.fspath(self.path)],
            "bytes": self.size,
            "opset": self.opset,
            "operators": list(self.operators),
            "inputs": {name: list(dims) for name, dims in self.inputs.items()},
            "outputs": {name: list(dims) for name, dims in self.outputs.items()},
            "metadata": dict(self.facts),
            "decibels": self.decibels,
        }


def _shapes(ports: Mapping[str, Dims]) -> str:
    """The first input or output with its shape, and how many memories there are besides."""
    (name, dims), *others = ports.items()
    return f"{name} {_shape(dims)}" + (f" and {len(others)} memories" if others else "")


def _shape(dims: Iterable[int | str]) -> str:
    return f"({', '.join(map(str, dims))})"
