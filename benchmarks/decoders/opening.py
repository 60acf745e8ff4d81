"""From a case to a decoder."""

from __future__ import annotations

from benchmarks.absent import require
from benchmarks.cases import OURS, Case
from benchmarks.decoders.decoder import Decoder

__all__ = ["Decoder", "open_decoder", "preload"]


def preload(case: Case) -> None:
    """Import what a case needs, so that libraries do not count as its memory.

    Raises:
        Unavailable: A package is missing.
    """
    if case.family in ("diffusers", "diffusers-tiled"):
        require("diffusers")
        import benchmarks.decoders.with_diffusers
    elif case.family == "openvino" or case.backend == "openvino":
        require("openvino")
        import openvino  # noqa: F401

    if case.name == "openvino-int8":
        require("nncf")
    if case.family in OURS:
        import benchmarks.decoders.ours
    import benchmarks.decoders.plain  # noqa: F401


def open_decoder(case: Case, pixels: int, threads: int, device: str = "cpu") -> Decoder:
    """A decoder of squares of ``pixels``, holding the fixed weights.

    Raises:
        Unavailable: It cannot run here.
    """
    preload(case)
    if case.family in OURS:
        from benchmarks.decoders.ours import open_ours

        return open_ours(case, pixels, device)
    if case.family in ("diffusers", "diffusers-tiled"):
        from benchmarks.decoders.with_diffusers import open_diffusers

        return open_diffusers(case, device)
    if case.family == "openvino":
        from benchmarks.decoders.with_openvino import open_openvino

        return open_openvino(case, pixels, threads)
    from benchmarks.decoders.plain import open_plain

    return open_plain(case, device)
