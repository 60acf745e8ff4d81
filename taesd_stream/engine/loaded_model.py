"""Both halves of a model, as far as they were loaded."""

from __future__ import annotations

from typing import Literal, TypeAlias

from taesd_stream.engine.coder import Coder
from taesd_stream.engine.settings import Settings
from taesd_stream.errors import InputError
from taesd_stream.models.spec import ModelSpec
from taesd_stream.models.variant_names import find_variant

__all__ = ["Action", "LoadedModel", "coder_of"]

Action: TypeAlias = Literal["decode", "encode"]


class LoadedModel:
    """A model's figures, its settings, and a coder for each half that is there.

    Attributes:
        spec: The model in figures.
        settings: Device, dtype and backend.
    """

    def __init__(
        self, spec: ModelSpec, settings: Settings, encoder: Coder | None, decoder: Coder | None
    ) -> None:
        self.spec = spec
        self.settings = settings
        self._coders = {"encode": encoder, "decode": decoder}

    @property
    def coders(self) -> tuple[Coder | None, Coder | None]:
        """The encoder and the decoder, each None where it was not loaded."""
        return self._coders["encode"], self._coders["decode"]


def coder_of(model: LoadedModel, action: Action, seed: int | None = None) -> Coder:
    """The half of a model that decodes, or the one that encodes.

    Args:
        seed: Where one is given, full VAEs' encoders draw latents of the distribution they find.

    Raises:
        InputError: It is not there.
    """
    coder = model._coders[action]
    if coder is not None:
        return coder.seeded(seed)
    name, half = model.spec.name, f"{action}r"
    variant = find_variant(name)
    if variant is not None and variant.encoder is None:
        raise InputError(f"{name} has no {half}, it only decodes; give another model")
    raise InputError(
        f"{name} was loaded without its {half}; give the {half}'s file, or a file that holds both"
    )
