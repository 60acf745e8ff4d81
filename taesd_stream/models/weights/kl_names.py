"""AutoencoderKL's weights under all names that they go by, brought to those of diffusers.

CompVis named them first: files of Stable Diffusion and FLUX.1 still have those names, alone or
under ``first_stage_model.`` among the rest of a pipeline. There the decoder's scales count from the
pixels, in diffusers from the latents; attention is 1x1 convolutions there, and linear layers here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Final

from torch import Tensor

from taesd_stream.errors import CheckpointError
from taesd_stream.models.weights.wrappers import Place, Role, chosen, log_left_out, tables

__all__ = ["are_kl_names", "kl_entries", "kl_halves", "pipeline_of"]

_LOGGER: Final = logging.getLogger("taesd_stream")
_HALVES: Final[tuple[Role, ...]] = ("encoder", "decoder")
# Layers that lie outside of the halves, each computed with one of them.
_OUTER: Final[Mapping[str, Role]] = {"quant_conv": "encoder", "post_quant_conv": "decoder"}
# What every AutoencoderKL has, in either naming.
_ANCHOR: Final = re.compile(
    r"(?P<root>(?:.+?\.)??)(?P<half>(?:encoder\.|decoder\.)?)"
    r"(?:mid_block\.resnets\.0(?:\.spatial_res_block)?|mid\.block_1)\.conv1\.weight"
)
# Beside a root where another kind of VAE has its own.
_FOREIGN: Final[Mapping[str, str]] = {
    "quantize": "a VQ model",
    "decoder_unet": "a ConsistencyDecoderVAE",
    "time_embedding": "a diffusion model",
    "time_embed": "a diffusion model",
}
_RENAMED: Final = tuple(
    (re.compile(pattern), official)
    for pattern, official in (
        (r"^mid\.block_1\.", "mid_block.resnets.0."),
        (r"^mid\.block_2\.", "mid_block.resnets.1."),
        (r"^mid\.attn_1\.", "mid_block.attentions.0."),
        (r"^down\.(\d+)\.block\.", r"down_blocks.\1.resnets."),
        (r"^down\.(\d+)\.downsample\.", r"down_blocks.\1.downsamplers.0."),
        (r"^up\.(\d+)\.block\.", r"up_blocks.\1.resnets."),
        (r"^up\.(\d+)\.upsample\.", r"up_blocks.\1.upsamplers.0."),
        (r"^norm_out\.", "conv_norm_out."),
        (r"\.nin_shortcut\.", ".conv_shortcut."),
        (r"(\.attentions\.0)\.norm\.", r"\1.group_norm."),
        (r"(\.attentions\.0)\.(?:q|query)\.", r"\1.to_q."),
        (r"(\.attentions\.0)\.(?:k|key)\.", r"\1.to_k."),
        (r"(\.attentions\.0)\.(?:v|value)\.", r"\1.to_v."),
        (r"(\.attentions\.0)\.(?:proj_out|proj_attn)\.", r"\1.to_out.0."),
    )
)
_COMPVIS_UP: Final = re.compile(r"up\.(\d{1,3})\.(.+)")
_ATTENTION_WEIGHT: Final = re.compile(r".*\.attentions\.0\.to_(?:q|k|v|out\.0)\.weight")
# Of a pipeline in one file, what only one family has, and the name of that family's VAE.
_PIPELINES: Final = (
    (re.compile(r"conditioner\.embedders\."), "sdxl-vae"),
    (re.compile(r"cond_stage_model\."), "sd-vae"),
    (re.compile(r"(?:model\.diffusion_model\.)?joint_blocks\."), "sd3-vae"),
    (re.compile(r"(?:model\.diffusion_model\.)?double_blocks\."), "flux-vae"),
)


def are_kl_names(names: Iterable[str]) -> bool:
    """Whether the weights of an AutoencoderKL, of both halves or of one, are among others.

    >>> are_kl_names(["model.x", "first_stage_model.decoder.mid.block_1.conv1.weight"])
    True
    """
    return any(_ANCHOR.fullmatch(name) for name in names)


def pipeline_of(raw: Mapping[str, object]) -> str | None:
    """The VAE whose pipeline this is by the names that lie beside it; None where they do not tell.

    >>> pipeline_of({"conditioner.embedders.0.weight": None})
    'sdxl-vae'
    """
    names = [name for _, entries in tables(raw) for name in entries if isinstance(name, str)]
    for pattern, variant in _PIPELINES:
        if any(map(pattern.match, names)):
            return variant
    return None


def kl_entries(raw: Mapping[str, object], origin: str) -> dict[str, object] | None:
    """The entries of an AutoencoderKL, named like "decoder.conv_in.weight"; None if it is not one.

    Args:
        raw: What a file holds: names to tensors, or mappings of these, with anything beside.
        origin: What to call the source in the log.

    Raises:
        CheckpointError: There are several; or one of another kind.
    """
    known = list(tables(raw))
    places = [place for path, entries in known for place in _places(path, entries)]
    if not places:
        return None
    place = chosen(places, origin)
    found: dict[str, object] = {}
    left_out = {f"{path}".partition(".")[0] for path, each in known if each is not place.entries}
    for key, value in place.entries.items():
        inner = str(key).removeprefix(place.root)
        first = inner.partition(".")[0]
        if not str(key).startswith(place.root):
            left_out.add(str(key).partition(".")[0])
        elif first in _FOREIGN:
            raise CheckpointError(
                f"expected an AutoencoderKL, found {str(key)[:80]!r} beside its layers, as"
                f" {_FOREIGN[first]} has it; give the VAE alone"
            )
        elif place.has_roles and first in _OUTER:
            found[f"{_OUTER[first]}.{inner}"] = value
        elif (place.has_roles and first in _HALVES) or not place.has_roles:
            found[inner] = value
        else:
            left_out.add(first)
    log_left_out(left_out - {"", *place.path.split(".")}, origin)
    return found if place.has_roles else _with_role(found, origin)


def kl_halves(tensors: Mapping[str, Tensor]) -> dict[Role, dict[str, Tensor]]:
    """The two halves, or the one there is, in diffusers' names without the role.

    Raises:
        CheckpointError: A layer is there twice.
    """
    halves: dict[Role, dict[str, Tensor]] = {}
    for role in _HALVES:
        start = f"{role}."
        half = {
            key.removeprefix(start): each for key, each in tensors.items() if key.startswith(start)
        }
        # The outer convolution of a half may have stayed where the half did not.
        if any(key.partition(".")[0] not in _OUTER for key in half):
            halves[role] = _officially_named(half)
    return halves


def _places(path: str, entries: Mapping[object, object]) -> list[Place]:
    found: dict[tuple[str, bool], Place] = {}
    for key, value in entries.items():
        if isinstance(key, str) and isinstance(value, Tensor) and value.dim() == 4:
            anchor = _ANCHOR.fullmatch(key)
            if anchor:
                root, has_role = anchor["root"], bool(anchor["half"])
                found.setdefault((root, has_role), Place(entries, path, root, has_role))
    return list(found.values())


def _with_role(bare: Mapping[str, object], origin: str) -> dict[str, object]:
    """The half that names without a role are those of: only one of them goes up."""
    goes_up = any(key.startswith(("up.", "up_blocks.")) for key in bare)
    goes_down = any(key.startswith(("down.", "down_blocks.")) for key in bare)
    if goes_up == goes_down:
        raise CheckpointError(
            "expected layers named like 'decoder.conv_in.weight', or those of one half of an"
            f" AutoencoderKL, found {'both up and down' if goes_up else 'no'} blocks; save the"
            " VAE's state_dict()"
        )
    outer = "post_quant_conv" if goes_up else "quant_conv"
    if f"{outer}.weight" not in bare:
        _LOGGER.warning(
            "%s: one half without %s; if its VAE has that, save the VAE's state_dict()",
            *(origin, outer),
        )
    return {f"{'decoder' if goes_up else 'encoder'}.{key}": value for key, value in bare.items()}


def _officially_named(half: Mapping[str, Tensor]) -> dict[str, Tensor]:
    numbers = [int(found[1]) for key in half if (found := _COMPVIS_UP.fullmatch(key))]
    named: dict[str, Tensor] = {}
    for key, tensor in half.items():
        name = key
        from_pixels = _COMPVIS_UP.fullmatch(key)
        if from_pixels:
            name = f"up.{max(numbers) - int(from_pixels[1])}.{from_pixels[2]}"
        for pattern, official in _RENAMED:
            name = pattern.sub(official, name)
        if name in named:
            raise CheckpointError(
                f"expected each layer once, found {key!r} under two names; save the model again"
            )
        is_convolved = _ATTENTION_WEIGHT.fullmatch(name) and tensor.shape[2:] == (1, 1)
        named[name] = tensor[..., 0, 0] if is_convolved else tensor
    return named
