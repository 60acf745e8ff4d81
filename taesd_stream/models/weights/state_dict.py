"""Names and values of a state dict, brought to the one form that the rest of the package reads.

The form: one dict per half, keys in the numbering of the official ``nn.Sequential`` networks. The
decoder's layer 0 is a clamp without parameters, so its first convolution is ``1.weight``; the
encoder's is ``0.weight``. Diffusers clamps outside its list of layers, so each of its decoder's
numbers is one less, while its encoder counts as the official one does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, TypeAlias

import torch
from torch import Tensor

from taesd_stream.errors import CheckpointError
from taesd_stream.models.weights.consistency_names import consistency_entries
from taesd_stream.models.weights.kl_names import kl_entries, kl_halves
from taesd_stream.models.weights.weight_files import (
    MAX_CHECKPOINT_BYTES,
    MAX_CONSISTENCY_BYTES,
    naming,
    require_size,
)
from taesd_stream.models.weights.wrappers import ROLES, Role, unknown_name, unwrapped

__all__ = ["Halves", "Role", "split_state_dict"]

Halves: TypeAlias = dict[Role, dict[str, Tensor]]
"""The state dicts, officially named, of the halves that there are."""

_DIFFUSERS_PREFIX: Final = "layers."
_LAYER_NAME: Final = re.compile(r"([0-9]{1,4})((?:\.\w+)+)")
_OUTER_WEIGHT: Final = re.compile(r"([0-9]+)\.weight")
_FLOAT_DTYPES: Final = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_FLOAT8_DTYPES: Final = (
    torch.float8_e4m3fn,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2,
    torch.float8_e5m2fnuz,
)
# ComfyUI's names, the older first, for what the float8 weights of a layer are multiplied by.
_FLOAT8_SCALES: Final = ("scale_weight", "weight_scale")
# RGBA, folded 2 pixels a side into channels, by a layer before the encoder's first convolution.
_FOLDED_RGBA: Final = 16
# RGB, folded 1, 2 or 4 pixels a side.
_IMAGE_CHANNELS: Final = (3, 12, 48, _FOLDED_RGBA)


def split_state_dict(raw: Mapping[str, object], origin: str) -> Halves:
    """Split a state dict of any known naming into officially numbered halves.

    Known are bare numbers (one half, told by its shapes), the prefixes ``encoder.`` and
    ``decoder.``, ComfyUI's ``taesd_encoder.`` and ``taesd_decoder.``, diffusers'
    ``encoder.layers.`` and ``decoder.layers.``, each also behind any prefix (``vae.``,
    ``module.``) and inside any mapping (``state_dict``, ``params_ema``). Only names change: tensors
    are copied to CPU memory in the dtype they have; float8 becomes float32.

    The layers of an AutoencoderKL and of a ConsistencyDecoderVAE have names instead of numbers:
    those of diffusers, without the role, whatever they were called.

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
        of_consistency = consistency_entries(raw, origin)
        if of_consistency is not None:
            return kl_halves(_checked_tensors(of_consistency, MAX_CONSISTENCY_BYTES))
        of_kl = kl_entries(raw, origin)
        if of_kl is not None:
            return kl_halves(_checked_tensors(of_kl))
        return _halves(_checked_tensors(unwrapped(raw, origin)))


def _halves(tensors: Mapping[str, Tensor]) -> Halves:
    named: Halves = {"encoder": {}, "decoder": {}}
    bare: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        first, _, rest = key.partition(".")
        half, name = (named[ROLES[first]], rest) if first in ROLES else (bare, key)
        if half.setdefault(name, tensor) is not tensor:
            raise CheckpointError(
                f"expected each layer once, found {key!r} under two prefixes; save the model again"
            )
    if bare and (named["encoder"] or named["decoder"]):
        raise unknown_name(next(iter(bare)))
    if bare:
        return _bare_half(bare)
    return {role: _official_numbers(half, role) for role, half in named.items() if half}


def _bare_half(bare: Mapping[str, Tensor]) -> Halves:
    """The half that names without a role are those of."""
    if not all(key.startswith(_DIFFUSERS_PREFIX) for key in bare):
        numbered = _official_numbers(bare)
        return {_role_by_shapes(numbered): numbered}
    for role in ("encoder", "decoder"):
        numbered = _official_numbers(bare, role)
        with suppress(CheckpointError):
            if _role_by_shapes(numbered) == role:
                return {role: numbered}
    raise unknown_name(next(iter(bare)))


def _checked_tensors(
    named: Mapping[str, object], most_bytes: int = MAX_CHECKPOINT_BYTES
) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for key, value in _float8_unscaled(named).items():
        problem = _problem_with(value)
        if problem or not isinstance(value, Tensor):
            raise CheckpointError(
                f"expected a floating-point tensor under {key!r}, found {problem}; "
                "save the model's state_dict() alone"
            )
        tensors[key] = value
    # A view can claim more elements than its storage holds, so the file's size says nothing.
    total_bytes = sum(each.numel() * each.element_size() for each in tensors.values())
    remedy, found = "the file is damaged or hostile", "shapes that claim "
    require_size(total_bytes, remedy, found=found, most_bytes=most_bytes)
    for key, tensor in tensors.items():
        owned = tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        if not _is_finite(owned):
            raise CheckpointError(
                f"expected finite weights, found NaN or infinity in {key!r}; "
                "the checkpoint is damaged, fetch it again"
            )
        tensors[key] = owned
    return tensors


def _is_finite(tensor: Tensor) -> bool:
    """Whether every number is; a sum is, but for one that is too large, and is found sooner."""
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


def _float8_unscaled(named: Mapping[str, object]) -> dict[str, object]:
    """The same with float32 for float8, multiplied by the scales that lie beside."""
    made = dict(named)
    for key, value in named.items():
        if isinstance(value, Tensor) and value.dtype in _FLOAT8_DTYPES:
            require_size(4 * value.numel(), "the file is damaged or hostile", found="shapes of ")
            wide = value.to(torch.float32)
            for name in _FLOAT8_SCALES:
                scale = made.pop(f"{key.removesuffix('weight')}{name}", None)
                if scale is not None:
                    wide *= _scale_of(scale, wide, key)
            made[key] = wide
    return made


def _scale_of(scale: object, weight: Tensor, key: str) -> Tensor:
    """What a weight is multiplied by: one number, or one for each channel that it makes."""
    counts = (1, weight.shape[0]) if weight.dim() else (1,)
    if not isinstance(scale, Tensor) or scale.numel() not in counts:
        raise CheckpointError(
            f"expected the scale of {key!r} to be one number, or one for each of its channels,"
            f" found {list(scale.shape) if isinstance(scale, Tensor) else type(scale).__name__};"
            " save the weights in float16"
        )
    return scale.to(torch.float32).reshape(-1, *(1,) * (weight.dim() - 1))


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
            raise unknown_name(f"{role}.{key}" if role else key)
        numbered[f"{int(layer[1]) + shift}{layer[2]}"] = tensor
    return numbered


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
        makes_pixels = last.shape[0] in _IMAGE_CHANNELS and (first_number == 1 or is_pointwise)
        is_first = first_number == 0 or (first.shape[1] == _FOLDED_RGBA and not makes_pixels)
        reads_pixels = is_first and not is_pointwise and first.shape[1] in _IMAGE_CHANNELS
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
