"""The sizes of an AutoencoderKL by the shapes of its weights, and what its config.json adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from torch import Tensor

from taesd_stream.errors import CheckpointError
from taesd_stream.models.kl_architectures import KLSizes, kl_decoder, kl_encoder
from taesd_stream.models.svd_architecture import svd_decoder
from taesd_stream.models.weights.outlines import difference, empty_network
from taesd_stream.models.weights.wrappers import Role

__all__ = ["kl_sizes"]

_NORM_GROUPS: Final = 32
_DIRECTION: Final[Mapping[Role, str]] = {"decoder": "up", "encoder": "down"}
_BLOCK: Final = re.compile(
    r"(?:up|down)_blocks\.(\d{1,3})\.resnets\.(\d{1,3})\.(spatial_res_block\.)?conv1\.weight"
)
# What AutoencoderKL can be told that the weights' shapes do not show.
_REQUIRED_CONFIG: Final[Mapping[str, object]] = {
    "act_fn": "silu",
    "down_block_types": "DownEncoderBlock2D",
    "up_block_types": "UpDecoderBlock2D",
}
_REMEDY: Final = "give an AutoencoderKL for pictures, all of whose blocks are of the usual kind"


def kl_sizes(halves: Mapping[Role, Mapping[str, Tensor]], config: Mapping[str, object]) -> KLSizes:
    """The sizes that the halves of an AutoencoderKL have, or the one there is.

    Args:
        halves: In diffusers' names.
        config: Its config.json; empty without one.

    Raises:
        CheckpointError: The halves differ, some layer is not as an AutoencoderKL has it, or the
            configuration asks for what is not computed here.
    """
    groups = _checked_groups(config)
    sizes = {role: _sizes_of_half(role, half, groups) for role, half in halves.items()}
    in_chunks = any(each.in_chunks for each in sizes.values())
    if in_chunks and "encoder" in sizes:  # which is that of other decoders, too
        sizes["encoder"] = replace(sizes["encoder"], in_chunks=True)
    decoder = svd_decoder if in_chunks else kl_decoder
    found = next(iter(sizes.values()))
    for role, half in halves.items():
        if sizes[role] != found:
            raise _of_two(sizes)
        make = partial(decoder if role == "decoder" else kl_encoder, found)
        misfit = difference(empty_network(make).shapes(), half)
        if misfit:
            raise CheckpointError(
                f"expected an AutoencoderKL of {_in_words(found)}, found a layer of another kind:"
                f" its {role}'s {misfit}; {_REMEDY}"
            )
    return found


def _of_two(sizes: Mapping[Role, KLSizes]) -> CheckpointError:
    """The error about halves that are not of one."""
    decoder, encoder = sizes["decoder"], sizes["encoder"]
    both = "give both halves of one AutoencoderKL, or one of them"
    if replace(decoder, is_quantised=encoder.is_quantised) == encoder:
        there, missing = ("post_quant_conv", "quant_conv")[:: 1 if decoder.is_quantised else -1]
        return CheckpointError(f"expected {missing} beside {there}, found none; {both}")
    return CheckpointError(
        f"expected two halves of the same sizes, found a decoder of {_in_words(decoder)} and an"
        f" encoder of {_in_words(encoder)}; {both}"
    )


def _in_words(sizes: KLSizes) -> str:
    widths = ", ".join(map(str, sizes.widths))
    attention = "" if sizes.attends else " and no attention"
    chunks = ", decoded in chunks of frames" if sizes.in_chunks else ""
    return (
        f"{sizes.latent_channels} latent channels, widths of {widths} and {sizes.blocks} blocks a"
        f" scale{attention}{chunks}"
    )


def _sizes_of_half(role: Role, half: Mapping[str, Tensor], groups: int) -> KLSizes:
    shapes = {name: tuple(each.shape) for name, each in half.items()}
    blocks: dict[int, int] = {}
    for name in shapes:
        block = _BLOCK.fullmatch(name)
        if block:
            blocks[int(block[1])] = max(blocks.get(int(block[1]), 0), int(block[2]) + 1)
    if sorted(blocks) != list(range(len(blocks))) or not blocks:
        raise CheckpointError(
            f"expected {_DIRECTION[role]}_blocks in its {role} numbered from 0, found"
            f" {', '.join(map(str, sorted(blocks))) or 'none'}; {_REMEDY}"
        )
    in_chunks = any(".spatial_res_block." in name for name in shapes)
    block_name = "spatial_res_block.conv1.weight" if in_chunks else "conv1.weight"
    names = (
        f"{_DIRECTION[role]}_blocks.{scale}.resnets.0.{block_name}" for scale in range(len(blocks))
    )
    widths = [_channels(shapes, name, made=True) for name in names]
    if role == "decoder":
        widths.reverse()
        channels = _channels(shapes, "conv_in.weight", made=False)
    else:
        channels = _channels(shapes, "conv_out.weight", made=True) // 2
    _check_widths(widths, groups)
    return KLSizes(
        latent_channels=channels,
        widths=tuple(widths),
        blocks=blocks[0] - (role == "decoder"),
        # In chunks, only the encoder has that convolution.
        is_quantised=in_chunks or any("quant_conv." in name for name in shapes),
        groups=groups,
        attends=any(name.startswith("mid_block.attentions.") for name in shapes),
        in_chunks=in_chunks,
    )


def _channels(shapes: Mapping[str, tuple[int, ...]], name: str, *, made: bool) -> int:
    """The channels that a convolution makes, or reads."""
    shape = shapes.get(name, ())
    if len(shape) != 4:
        found = f"one of shape {shape}" if shape else "none"
        raise CheckpointError(f"expected a 2D convolution {name}, found {found}; {_REMEDY}")
    return shape[0 if made else 1]


def _check_widths(widths: list[int], groups: int) -> None:
    uneven = [width for width in widths if width % groups]
    if uneven:
        raise CheckpointError(
            f"expected widths that {groups} groups of a norm divide, found"
            f" {', '.join(map(str, widths))}; give the folder whose config.json says another"
            " norm_num_groups"
        )


def _checked_groups(config: Mapping[str, object]) -> int:
    """The groups of every norm, of a configuration that asks for nothing unknown."""
    for key, required in _REQUIRED_CONFIG.items():
        found = config.get(key, required)
        several = found if isinstance(found, list | tuple) else [found]
        for each in several:
            if each != required:
                raise CheckpointError(
                    f"expected {key} in its configuration to be {required}, found {each!r:.60};"
                    f" {_REMEDY}"
                )
    groups = config.get("norm_num_groups", _NORM_GROUPS)
    if type(groups) is not int or groups < 1:
        raise CheckpointError(
            f"expected norm_num_groups in its configuration to be a number from 1 up, found"
            f" {groups!r:.60}; fetch it again"
        )
    return groups
