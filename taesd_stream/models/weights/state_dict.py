"""Names and values of a state dict, brought to the one form that the rest of the package reads.

The form: one dict per half, keys in the numbering of the official ``nn.Sequential`` networks. The
decoder's layer 0 is a clamp without parameters, so its first convolution is ``1.weight``; the
encoder's is ``0.weight``. Diffusers clamps outside its list of layers, so each of its decoder's
numbers is one less, while its encoder counts as the official one does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

from taesd_stream.errors import CheckpointError
from taesd_stream.models.weights.weight_files import LATENTS_INSTEAD, naming, require_size

__all__ = ["Halves", "Role", "split_state_dict"]

Role: TypeAlias = Literal["encoder", "decoder"]
Halves: TypeAlias = dict[Role, dict[str, Tensor]]
"""The state dicts, officially numbered, of the halves that there are."""

_WRAPPER_KEY: Final = "state_dict"
# Left in front of every name by DataParallel and by torch.compile.
_WRAPPER_PREFIXES: Final = ("module.", "_orig_mod.")
# The second pair is ComfyUI's.
_ROLE_PREFIXES: Final[Mapping[str, Role]] = {
    "encoder.": "encoder",
    "decoder.": "decoder",
    "taesd_encoder.": "encoder",
    "taesd_decoder.": "decoder",
}
# Scalars beside ComfyUI's halves: how its own latents relate to the model's. No layer reads them.
_LATENT_SCALARS: Final = frozenset({"vae_scale", "vae_shift"})
_LATENT_KEYS: Final = frozenset({"latents", "latent", "samples", "latent_tensor"})
_DIFFUSERS_PREFIX: Final = "layers."
_LAYER_NAME: Final = re.compile(r"([0-9]{1,4})((?:\.\w+)+)")
_OUTER_WEIGHT: Final = re.compile(r"([0-9]+)\.weight")
_FLOAT_DTYPES: Final = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# RGB, folded 1, 2 or 4 pixels a side into channels.
_IMAGE_CHANNELS: Final = (3, 12, 48)


def split_state_dict(raw: Mapping[str, object], origin: str) -> Halves:
    """Split a state dict of any known naming into officially numbered halves.

    Known are bare numbers (one half, told by its shapes), the prefixes ``encoder.`` and
    ``decoder.``, ComfyUI's ``taesd_encoder.`` and ``taesd_decoder.``, diffusers'
    ``encoder.layers.`` and ``decoder.layers.``, each also inside ``state_dict`` or behind
    ``module.``. Only names change: tensors are copied to CPU memory in the dtype they have.

    Args:
        raw: names to tensors.
        origin: what to call the source in messages.

    Raises:
        CheckpointError: a name fits no such network; a value is no finite floating-point tensor;
            there is nothing; or it cannot be told which half this is.

    >>> halves = split_state_dict({"decoder.layers.0.weight": torch.zeros(64, 4, 3, 3)}, "example")
    >>> {role: list(half) for role, half in halves.items()}
    {'decoder': ['1.weight']}
    """
    with naming(origin):
        return _halves(_checked_tensors(_unwrap(raw)))


def _halves(tensors: Mapping[str, Tensor]) -> Halves:
    named: Halves = {"encoder": {}, "decoder": {}}
    bare: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        prefix = next((prefix for prefix in _ROLE_PREFIXES if key.startswith(prefix)), "")
        half = named[_ROLE_PREFIXES[prefix]] if prefix else bare
        if half.setdefault(key.removeprefix(prefix), tensor) is not tensor:
            raise CheckpointError(
                f"expected each layer once, found {key!r} under two prefixes; save the model again"
            )
    if bare and (named["encoder"] or named["decoder"]):
        raise _unknown_name(next(iter(bare)))
    if bare:
        numbered = _official_numbers(bare)
        return {_role_by_shapes(numbered): numbered}
    return {role: _official_numbers(half, role) for role, half in named.items() if half}


def _unwrap(raw: Mapping[str, object]) -> Mapping[str, object]:
    inner = raw.get(_WRAPPER_KEY)
    if isinstance(inner, Mapping):
        return _unwrap(inner)
    if not raw:
        raise CheckpointError("expected named tensors, found none; fetch it again")
    for key in raw:
        if not isinstance(key, str):
            raise CheckpointError(
                f"expected tensors named by strings, found the name {key!r}; "
                "save the model's state_dict()"
            )
    for prefix in _WRAPPER_PREFIXES:
        if all(key.startswith(prefix) for key in raw):
            return _unwrap({key.removeprefix(prefix): raw[key] for key in raw})
    for key in raw:
        if key in _LATENT_KEYS:
            raise CheckpointError(
                f"expected a checkpoint's weights, found the entry {key!r}, {LATENTS_INSTEAD}"
            )
    return {key: value for key, value in raw.items() if key not in _LATENT_SCALARS}


def _checked_tensors(named: Mapping[str, object]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for key, value in named.items():
        problem = _problem_with(value)
        if problem or not isinstance(value, Tensor):
            raise CheckpointError(
                f"expected a floating-point tensor under {key!r}, found {problem}; "
                "save the model's state_dict() alone"
            )
        tensors[key] = value
    # A view can claim more elements than its storage holds, so the file's size says nothing.
    total_bytes = sum(each.numel() * each.element_size() for each in tensors.values())
    require_size(total_bytes, "the file is damaged or hostile", found="shapes that claim ")
    for key, tensor in tensors.items():
        owned = tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        if not bool(torch.isfinite(owned).all()):
            raise CheckpointError(
                f"expected finite weights, found NaN or infinity in {key!r}; "
                "the checkpoint is damaged, fetch it again"
            )
        tensors[key] = owned
    return tensors


def _problem_with(value: object) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    if value.layout != torch.strided or value.is_meta:
        return f"one without plain data ({value.layout}, on {value.device})"
    if value.dtype not in _FLOAT_DTYPES:
        return f"one of {value.dtype}"
    return ""


def _official_numbers(half: Mapping[str, Tensor], role: Role | None = None) -> dict[str, Tensor]:
    """Check the names of one half, and renumber them where they are diffusers'."""
    is_diffusers = role is not None and all(key.startswith(_DIFFUSERS_PREFIX) for key in half)
    skipped = _DIFFUSERS_PREFIX if is_diffusers else ""
    shift = 1 if is_diffusers and role == "decoder" else 0
    numbered: dict[str, Tensor] = {}
    for key, tensor in half.items():
        layer = _LAYER_NAME.fullmatch(key.removeprefix(skipped))
        if layer is None:
            raise _unknown_name(f"{role}.{key}" if role else key)
        numbered[f"{int(layer[1]) + shift}{layer[2]}"] = tensor
    return numbered


def _unknown_name(key: str) -> CheckpointError:
    full_vae = "conv_in" in key or "conv_out" in key or "_blocks." in key or "quant_conv" in key
    advice = (
        "this looks like a full VAE, of which tiny ones are replacements"
        if full_vae
        else "give a checkpoint of the TAESD family"
    )
    return CheckpointError(
        "expected layers named like 'decoder.1.weight' or '3.conv.0.weight', "
        f"found {key!r}; {advice}"
    )


def _role_by_shapes(bare: Mapping[str, Tensor]) -> Role:
    """Tell an encoder from a decoder by where its convolutions meet pixels.

    A decoder begins after its clamp, at number 1, or with a 1x1 convolution; its last convolution
    makes pixels. An encoder's first convolution, number 0, reads them.
    """
    outer = sorted(
        (int(layer[1]), tensor)
        for key, tensor in bare.items()
        if tensor.ndim == 4 and (layer := _OUTER_WEIGHT.fullmatch(key))
    )
    if outer:
        (first_number, first), (_, last) = outer[0], outer[-1]
        is_pointwise = first.shape[2:] == (1, 1)
        reads_pixels = first_number == 0 and not is_pointwise and first.shape[1] in _IMAGE_CHANNELS
        makes_pixels = last.shape[0] in _IMAGE_CHANNELS and (first_number == 1 or is_pointwise)
        if reads_pixels != makes_pixels:
            return "encoder" if reads_pixels else "decoder"
        found = f"a first one of {list(first.shape)} and a last one of {list(last.shape)}"
    else:
        found = "none"
    raise CheckpointError(
        "expected convolutions that read pixels (an encoder's '0.weight': "
        f"[64, 3, 3, 3]) or make them (a decoder's last: [3, 64, 3, 3]), found {found}; "
        "give a checkpoint of the TAESD family"
    )
