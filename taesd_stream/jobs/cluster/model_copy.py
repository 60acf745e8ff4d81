"""A model as it travels to workers: its weights, and how they are to be loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from numpy.typing import NDArray

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.load import load_weights, read_weights
from taesd_stream.engine.loaded_model import Action, coder_of
from taesd_stream.engine.options import ModelOptions
from taesd_stream.engine.settings import Settings
from taesd_stream.errors import InputError
from taesd_stream.jobs.model_for_latents import Model
from taesd_stream.models import Checkpoint, find_variant

__all__ = ["ModelCopy"]


@dataclass(frozen=True, slots=True, eq=False)
class ModelCopy:
    """Half of a model, to be loaded elsewhere so that it computes the same.

    Attributes:
        action: Which half: "decode" or "encode".
        weights: By their official names; NumPy's, which processes of one machine share. None where
            the model needs none.
        told: The checkpoint that they are of, without weights.
        variant: The name of the variant, where that is known.
        options: How it is loaded.
        same: What it shall be when it is loaded, in words.
    """

    action: Action
    weights: dict[str, NDArray[Any]] | None
    told: Checkpoint | None
    variant: str | None
    options: ModelOptions
    same: str

    @classmethod
    def of(
        cls,
        ae: AutoEncoder,
        action: Action,
        settings: Settings,
        model: Model | None,
        options: ModelOptions,
    ) -> Self:
        """The copy of a model that is loaded.

        Args:
            ae: The model.
            action: Which half of it is copied.
            settings: Where and how it computes.
            model: What it was loaded from; None is the official one of its name.
            options: How it was loaded.

        Raises:
            InputError: It computes in a way that cannot be copied.
        """
        if settings.dtype == torch.int8:
            raise InputError(
                "cluster: expected a dtype that needs no calibration, found int8; give bfloat16 or"
                " float32"
            )
        options = replace(
            options,
            device=settings.device.type,
            dtype=settings.dtype,
            backend=settings.backend_name,
            calibration=None,
        )
        coder = coder_of(ae, action)
        if isinstance(model, AutoEncoder):
            shortcuts = coder.network.shortcuts
            options = replace(options, convention=coder.convention, shortcuts=shortcuts)
        same = _in_words(ae, action)
        variant = find_variant(ae.spec.name)
        if variant is not None and variant.weights == "none":
            return cls(action, None, None, variant.name, options, same)
        if isinstance(model, AutoEncoder):
            module = ae.decoder_module() if action == "decode" else ae.encoder_module()
            read, named = read_weights(module, None)
        else:
            read, named = read_weights(model or ae.spec.name, options.variant)
        half = None if read is None else read.decoder if action == "decode" else read.encoder
        if read is None or half is None:
            return cls(action, None, None, named, options, same)
        weights = {name: _as_numpy(tensor) for name, tensor in half.items()}
        # An encoder alone may fit several variants.
        named = named or (None if variant is None else variant.name)
        return cls(action, weights, replace(read, encoder=None, decoder=None), named, options, same)

    def load(self) -> AutoEncoder:
        """The model, in this process.

        Raises:
            InputError: It is not the same here.
        """
        read: Checkpoint | None = None
        if self.weights is not None and self.told is not None:
            # What processes share cannot be written to.
            half = {name: torch.from_numpy(each.copy()) for name, each in self.weights.items()}
            if self.action == "decode":
                read = replace(self.told, decoder=half)
            else:
                read = replace(self.told, encoder=half)
        ae = load_weights(read, self.variant, self.options)
        found = _in_words(ae, self.action)
        if found != self.same:
            raise InputError(
                f"cluster: expected {self.same}, found {found} where it was loaded again; give the"
                " model by its name or file, with its options"
            )
        return ae


def _in_words(ae: AutoEncoder, action: Action) -> str:
    coder = coder_of(ae, action)
    shortcuts = str(coder.network.shortcuts) or "as it is"
    scale = f"{ae.spec.space.mean} {ae.spec.space.deviation} {coder.convention}"
    return f"{ae.spec.label}, {shortcuts}, scale {scale}, weights {coder.digest()}"


def _as_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    # NumPy has no bfloat16, all of whose numbers are numbers of float32.
    wide = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    made: NDArray[Any] = wide.numpy()
    return made
