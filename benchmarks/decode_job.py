"""The job of the table and of the scaling: decode one square picture."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.cases import Case, case_named
from benchmarks.decoders import open_decoder, preload
from benchmarks.protocol import Job
from benchmarks.task import Arguments, Kind, Task, tensor_bytes
from benchmarks.weights import SCALE, latents

__all__ = ["DECODE", "decode_job"]


def decode_job(case: Case, pixels: int, threads: int) -> Job:
    """The job of decoding ``pixels`` x ``pixels`` with ``case``."""
    budgets = [] if case.memory == "auto" else [case.memory]
    arguments = {"case": case.name, "budgets": budgets, "pixels": pixels}
    return Job("decode", case.name, arguments, threads, case.needs_bytes(pixels))


def _preload(arguments: Arguments) -> None:
    preload(case_named(arguments["case"], arguments["budgets"]))


def _open(arguments: Arguments, threads: int) -> Task:
    case = case_named(arguments["case"], arguments["budgets"])
    z = latents(arguments["pixels"] // SCALE)
    decoder = open_decoder(case, arguments["pixels"], threads)

    def run() -> Tensor:
        with torch.inference_mode():
            return decoder.decode(z)

    return Task(
        run,
        detail=decoder.detail,
        output_bytes=tensor_bytes,
        pictures=(lambda made: decoder.pictures(made)[0]) if case.model == "taesd" else None,
    )


DECODE = Kind(_preload, _open)
