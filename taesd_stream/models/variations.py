"""Networks of another's layers that compute something else: shortcuts, or samples."""

from __future__ import annotations

from collections.abc import Mapping

from taesd_stream.errors import InputError
from taesd_stream.models.layers.attention import Attention
from taesd_stream.models.layers.distribution import Mean
from taesd_stream.models.layers.global_layer import Divided
from taesd_stream.models.layers.group_norm import GroupNorm
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.network import Network
from taesd_stream.models.shortcuts import Shortcuts

__all__ = ["drawing", "shortened"]


def shortened(network: Network, shortcuts: Shortcuts) -> Network:
    """The same layers, some of which are not computed as they say.

    Raises:
        InputError: It has none that can be.
    """
    kinds = [type(layer) for _, layer in network.numbered]
    for name, kind, wanted in (
        ("fast norms", GroupNorm, shortcuts.fast_norms),
        ("fast attention", Attention, shortcuts.fast_attention is not None),
    ):
        if wanted and (kind not in kinds or network.in_chunks):
            raise InputError(
                f"{name}: expected an AutoencoderKL for pictures, found a model that is only"
                " computed as it is; leave the option out"
            )
    return _of(network, dict(network.numbered), shortcuts)


def drawing(network: Network) -> Network:
    """The same layers, which draw latents of a distribution where its mean was made."""
    layers = {
        name: layer.sample() if isinstance(layer, Mean) else layer
        for name, layer in network.numbered
    }
    return _of(network, layers, network.shortcuts)


def _of(network: Network, layers: Mapping[str, Layer | Divided], shortcuts: Shortcuts) -> Network:
    made = Network(layers, network.channels, shortcuts, in_chunks=network.in_chunks)
    made.fold()
    return made
