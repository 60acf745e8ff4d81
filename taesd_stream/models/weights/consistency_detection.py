"""A Consistency Decoder by the shapes of its weights, and what its config.json adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Final

from torch import Tensor

from taesd_stream.errors import CheckpointError
from taesd_stream.models.consistency import (
    LATENT_CHANNELS,
    PICTURE_CHANNELS,
    TIMES,
    ConsistencySizes,
    consistency_decoder,
)
from taesd_stream.models.fine_variants import consistency_variant
from taesd_stream.models.kl_architectures import KLSizes
from taesd_stream.models.layers.timed_block import Norms
from taesd_stream.models.unet import UNetSizes
from taesd_stream.models.variant import Variant
from taesd_stream.models.weights.checkpoint import Checkpoint
from taesd_stream.models.weights.consistency_names import ENTRANCE
from taesd_stream.models.weights.kl_sizes import kl_sizes
from taesd_stream.models.weights.outlines import difference, empty_network
from taesd_stream.models.weights.weight_files import naming

__all__ = ["consistency_of", "is_consistency"]

_BLOCK: Final = re.compile(
    r"decoder_unet\.down_blocks\.(\d{1,3})\.resnets\.(\d{1,3})\.conv1\.weight"
)
_USUAL: Final = ConsistencySizes()
_REMEDY: Final = "give a ConsistencyDecoderVAE as diffusers saves it"
# What kl_sizes looks for in a configuration, and what it is called in this one.
_OF_ENCODER: Final[Mapping[str, str]] = {
    "norm_num_groups": "encoder_norm_num_groups",
    "act_fn": "encoder_act_fn",
    "down_block_types": "encoder_down_block_types",
}


def is_consistency(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint's names are those of a ConsistencyDecoderVAE."""
    return ENTRANCE in (checkpoint.decoder or {})


def consistency_of(checkpoint: Checkpoint) -> Variant:
    """The Consistency Decoder of a checkpoint's own sizes.

    Raises:
        CheckpointError: Some layer is not as a ConsistencyDecoderVAE has it.
    """
    with naming(checkpoint.origin):
        encoder = _encoder_sizes(checkpoint)
        state = checkpoint.decoder or {}
        unet = _unet_sizes({name: tuple(each.shape) for name, each in state.items()}, checkpoint)
        scale = 2 ** (len(encoder.widths) - 1) if encoder else _USUAL.spatial_scale
        factor = _number(checkpoint, "scaling_factor", _USUAL.factor)
        sizes = ConsistencySizes(unet, scale, factor)
        _check(sizes, state)
    return consistency_variant(sizes, encoder)


def _encoder_sizes(checkpoint: Checkpoint) -> KLSizes | None:
    if checkpoint.encoder is None:
        return None
    config = checkpoint.config
    own = {name: config[there] for name, there in _OF_ENCODER.items() if there in config}
    return kl_sizes({"encoder": checkpoint.encoder}, own)


def _unet_sizes(shapes: Mapping[str, tuple[int, ...]], checkpoint: Checkpoint) -> UNetSizes:
    counts: dict[int, int] = {}
    for name in shapes:
        block = _BLOCK.fullmatch(name)
        if block:
            counts[int(block[1])] = max(counts.get(int(block[1]), 0), int(block[2]) + 1)
    if not counts or sorted(counts) != list(range(len(counts))):
        raise CheckpointError(
            "expected down_blocks in its decoder_unet numbered from 0, found"
            f" {', '.join(map(str, sorted(counts))) or 'none'}; {_REMEDY}"
        )
    names = (f"decoder_unet.down_blocks.{n}.resnets.0.conv1.weight" for n in range(len(counts)))
    groups = _number(checkpoint, "decoder_norm_num_groups", _USUAL.unet.norms.groups)
    widths = tuple(_shape(shapes, name, 4)[0] for name in names)
    uneven = [width for width in widths if groups < 1 or groups % 1 or width % groups]
    if uneven:
        raise CheckpointError(
            f"expected widths that {groups:g} groups of a norm divide, found"
            f" {', '.join(map(str, widths))}; give the folder whose config.json says another"
            " decoder_norm_num_groups"
        )
    eps = _number(checkpoint, "decoder_norm_eps", _USUAL.unet.norms.eps)
    return UNetSizes(
        channels_in=_shape(shapes, ENTRANCE, 4)[1],
        channels_out=_shape(shapes, "decoder_unet.conv_out.weight", 4)[0],
        widths=widths,
        blocks=counts[0],
        steps=_shape(shapes, "decoder_unet.time_proj.weight", 2)[0],
        norms=Norms(int(groups), eps),
    )


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str, axes: int) -> tuple[int, ...]:
    shape = shapes.get(name, ())
    if len(shape) != axes:
        found = f"one of shape {shape}" if shape else "none"
        raise CheckpointError(f"expected {name} of {axes} axes, found {found}; {_REMEDY}")
    return shape


def _number(checkpoint: Checkpoint, key: str, usual: float) -> float:
    found = checkpoint.config.get(key, usual)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < 1e6:
        raise CheckpointError(
            f"expected {key} in its configuration to be a number above 0, found {found!r:.60};"
            " fetch it again"
        )
    return found


def _check(sizes: ConsistencySizes, state: Mapping[str, Tensor]) -> None:
    unet = sizes.unet
    words = (
        f"a ConsistencyDecoderVAE with widths of {', '.join(map(str, unet.widths))},"
        f" {unet.blocks} blocks a scale and no attention"
    )
    channels = unet.channels_in, unet.channels_out >= PICTURE_CHANNELS
    if channels != (PICTURE_CHANNELS + LATENT_CHANNELS, True):
        raise CheckpointError(
            f"expected a UNet from {PICTURE_CHANNELS + LATENT_CHANNELS} channels to"
            f" {PICTURE_CHANNELS} or more, found one from {unet.channels_in} to"
            f" {unet.channels_out}; {_REMEDY}"
        )
    if unet.steps <= max(TIMES) or 2 ** (len(unet.widths) - 1) > sizes.spatial_scale:
        raise CheckpointError(
            f"expected {max(TIMES) + 1} steps of time or more, and scales down to that"
            f" of latents, found {unet.steps} and {len(unet.widths)} scales; {_REMEDY}"
        )
    misfit = difference(empty_network(partial(consistency_decoder, sizes)).shapes(), state)
    if misfit:
        raise CheckpointError(
            f"expected {words}, found a layer of another kind: its decoder's {misfit}; {_REMEDY}"
        )
