"""taesd-stream itself."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

import taesd_stream as ts
from benchmarks.absent import Unavailable
from benchmarks.cases import Case
from benchmarks.decoders.decoder import Decoder
from benchmarks.graph_stand_in import GraphStandIn
from benchmarks.weights import LATENT_CHANNELS, SCALE, decoder_weights
from taesd_stream.engine.backends import Backend, EagerBackend
from taesd_stream.engine.backends.recorded import RecordedBackend
from taesd_stream.engine.coder import Coder
from taesd_stream.engine.loaded_model import Action, coder_of

__all__ = ["as_family", "computed_by", "load_ours", "open_ours"]


def computed_by(ae: ts.AutoEncoder, backend: Callable[[], Backend]) -> ts.AutoEncoder:
    """The same model, computed by other backends, one for each half that it has."""

    def half(action: Action) -> Coder | None:
        try:
            coder = coder_of(ae, action)
        except ts.InputError:
            return None
        return Coder(coder.spec, coder.network, coder.settings, backend())

    return ts.AutoEncoder(ae.spec, ae.settings, half("encode"), half("decode"))


def as_family(ae: ts.AutoEncoder, family: str) -> ts.AutoEncoder:
    """The same model as one of the families of ours computes it."""
    if family == "ours-eager":
        return computed_by(ae, EagerBackend)
    if family == "ours-stand-in":
        return computed_by(ae, lambda: RecordedBackend(GraphStandIn()))
    return ae


def load_ours(
    dtype: str, backend: str, device: str = "cpu", *, model: str = "taesd"
) -> ts.AutoEncoder:
    """TAESD's decoder with the fixed weights, or another model that comes with the package.

    Raises:
        Unavailable: There is no such backend or precision here.
    """
    try:
        return ts.load(
            decoder_weights() if model == "taesd" else model,
            variant=model, device=device, dtype=dtype, backend=backend,
        )  # fmt: skip
    except (ts.InputError, ts.MissingExtraError) as error:
        raise Unavailable(str(error)) from error


def open_ours(case: Case, pixels: int, device: str) -> Decoder:
    """Ours with its own plan, or undivided.

    Raises:
        Unavailable: There is no such backend or precision here, or the budget is too small.
    """
    ae = load_ours(case.precision, case.backend, device, model=case.model)
    ae = as_family(ae, case.family)
    side = pixels // SCALE
    try:
        plan = ae.plan(
            (1, LATENT_CHANNELS, side, side),
            tile=None if case.undivided else "auto",
            memory=case.memory,
        )
    except ts.InputError as error:
        raise Unavailable(str(error)) from error

    def decode(z: Tensor) -> Tensor:
        return ae.decode(z, tile=None if case.undivided else "auto", memory=case.memory)

    return Decoder(decode, detail=str(plan))
