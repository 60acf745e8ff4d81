"""The table of variants: every name that can be loaded, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any, Final

from taesd_stream.models import latent_spaces, linear_maps
from taesd_stream.models.also_known_as import ALSO_KNOWN_AS
from taesd_stream.models.architectures import (
    latent2rgb_decoder,
    nano_decoder,
    nano_encoder,
    taeqi_decoder,
    taeqi_encoder,
    taesana_decoder,
    taesana_encoder,
    taesd_decoder,
    taesd_encoder,
)
from taesd_stream.models.fine_variants import CONSISTENCY, FINE_VARIANTS
from taesd_stream.models.latent_spaces import LatentSpace
from taesd_stream.models.network import Network
from taesd_stream.models.timing import DecodeTiming, EncodeTiming
from taesd_stream.models.variant import Variant
from taesd_stream.models.video_architectures import (
    taehv_decoder,
    taehv_encoder,
    taehv_super_decoder,
    taehv_wide_decoder,
    taesdv_decoder,
)

__all__ = ["VARIANTS", "variants_for"]


def _taesd(name: str, latents_of: str, space: LatentSpace, *, pool: bool = False) -> Variant:
    decoder = partial(taesd_decoder, space.channels, pool=pool)
    encoder = partial(taesd_encoder, space.channels, pool=pool)
    return Variant(name, latents_of, space, 8, decoder, encoder)


def _latent2rgb(
    name: str, latents_of: str, space: LatentSpace, linear_map: linear_maps.LinearMap
) -> Variant:
    decoder = partial(latent2rgb_decoder, linear_map)
    return Variant(name, latents_of, space, 8, decoder, None, weights="none")


def _lightx2v(name: str, base: Variant, **changes: Any) -> Variant:
    """A decoder that LightX2V trained on latents in the full VAE's scale, in the shapes of another.

    Nothing published says in which scale its encoder's latents are, so it has none here.
    """
    latents_of = f"{base.latents_of.partition(',')[0]} (LightX2V)"
    made = replace(base, name=name, latents_of=latents_of, encoder=None, convention="vae")
    return replace(made, weights="hub", hub="lightx2v/Autoencoders", **changes)


def _taehv(
    name: str,
    latents_of: str,
    space: LatentSpace,
    *,
    patch: int = 1,
    growth: tuple[int, ...] = (1, 2, 2),
    pooling: tuple[int, ...] = (2, 2, 1),
    decoder: Callable[..., Network] = taehv_decoder,
) -> Variant:
    """TAEHV and its kin."""
    frames = prod(growth)
    return Variant(
        name=name,
        latents_of=latents_of,
        space=space,
        spatial_scale=8 * patch,
        decoder=partial(decoder, space.channels, growth=growth, patch=patch),
        encoder=partial(taehv_encoder, space.channels, pooling=pooling, patch=patch),
        timing=DecodeTiming(growth=frames, lead=frames - 1),
        encode_timing=EncodeTiming(shrink=prod(pooling)),
        leaves_out=("time",) if decoder is taehv_super_decoder else ("time", "space"),
    )


_WAN2_1: Final = _taehv("taew2_1", "Wan 2.1, 2.2 14B, Qwen Image", latent_spaces.WAN2_1)
_WAN2_2: Final = _taehv("taew2_2", "Wan 2.2 5B", latent_spaces.WAN2_2, patch=2)
_HUNYUAN_1_5: Final = _taehv(
    "taehv1_5", "Hunyuan Video 1.5", latent_spaces.HUNYUAN_VIDEO_1_5, patch=2
)

_TABLE: tuple[Variant, ...] = (
    _taesd("taesd", "Stable Diffusion 1 and 2", latent_spaces.SD1),
    _taesd("taesdxl", "Stable Diffusion XL", latent_spaces.SDXL),
    _taesd("taesd3", "Stable Diffusion 3", latent_spaces.SD3),
    _taesd("taef1", "FLUX.1", latent_spaces.FLUX1),
    _taesd("taef2", "FLUX.2", latent_spaces.FLUX2, pool=True),
    Variant(
        "taesana",
        "Sana",
        latent_spaces.SANA,
        32,
        partial(taesana_decoder, 32),
        partial(taesana_encoder, 32),
    ),
    Variant(
        "taeqi2_1",
        "Qwen-Image 2.1",
        latent_spaces.QWEN_IMAGE_2_1,
        16,
        partial(taeqi_decoder, 64),
        partial(taeqi_encoder, 64),
        weights="hub",
        hub="madebyollin/taeqi2_1",
        image_channels=4,
    ),
    replace(
        _taesd("hybrid-sd-tinyvae", "Stable Diffusion 1 and 2", latent_spaces.SD1),
        weights="hub",
        hub="cqyan/hybrid-sd-tinyvae",
    ),
    replace(
        _taesd("hybrid-sd-tinyvae-xl", "Stable Diffusion XL", latent_spaces.SDXL),
        weights="hub",
        hub="cqyan/hybrid-sd-tinyvae-xl",
    ),
    replace(
        _taesd("taesdv", "SD 1 and 2: AnimateLCM, SVD", latent_spaces.SD1),
        decoder=partial(taesdv_decoder, 4),
    ),
    _taehv("taehv", "Hunyuan Video", latent_spaces.HUNYUAN_VIDEO),
    _WAN2_1,
    _taehv("taeos1_3", "Open-Sora 1.3", latent_spaces.OPEN_SORA1_3),
    replace(
        _taehv("taecvx", "CogVideoX", latent_spaces.COGVIDEOX),
        timing=DecodeTiming(growth=4, lead=3, only_if_odd=True),
    ),
    _WAN2_2,
    _taehv(
        "taew2_2_super", "Wan 2.2 5B", latent_spaces.WAN2_2, patch=2, decoder=taehv_super_decoder
    ),
    _HUNYUAN_1_5,
    _taehv(
        "taehv1_5_super",
        "Hunyuan Video 1.5",
        latent_spaces.HUNYUAN_VIDEO_1_5,
        patch=2,
        decoder=taehv_super_decoder,
    ),
    _taehv("taeltx_2", "LTX-2", latent_spaces.LTX2, patch=4, growth=(2, 2, 2), pooling=(2, 2, 2)),
    _taehv(
        "taeltx2_3",
        "LTX-2.3, LTX-2.5",
        latent_spaces.LTX2,
        patch=4,
        growth=(2, 2, 2),
        pooling=(2, 2, 2),
    ),
    _taehv(
        "taeltx2_3_wide",
        "LTX-2.3, LTX-2.5",
        latent_spaces.LTX2,
        patch=4,
        growth=(2, 2, 2),
        pooling=(2, 2, 2),
        decoder=taehv_wide_decoder,
    ),
    replace(
        _taehv("taeh3", "MiniMax H3", latent_spaces.MINIMAX_H3, patch=2),
        timing=DecodeTiming(growth=4, lead=3, chunk=5, rest=2),
        encode_timing=EncodeTiming(shrink=4, group=17, zeros=3, tail=3),
    ),
    _lightx2v("lighttaew2_1", _WAN2_1),
    _lightx2v("lighttaew2_2", _WAN2_2),
    _lightx2v(
        "lighttaehy1_5",
        _HUNYUAN_1_5,
        decoder=partial(_HUNYUAN_1_5.decoder, slope=0.2, signed=True),
    ),
    _taehv("taem1", "Mochi 1", latent_spaces.MOCHI, growth=(1, 2, 3), pooling=(3, 2, 1)),
    Variant(
        "nano",
        "Stable Diffusion 1 and 2",
        latent_spaces.SD1,
        8,
        nano_decoder,
        nano_encoder,
        "packaged",
    ),
    _latent2rgb("latent2rgb", "Stable Diffusion 1 and 2", latent_spaces.SD1, linear_maps.SD1),
    _latent2rgb("latent2rgb_sd3", "Stable Diffusion 3", latent_spaces.SD3, linear_maps.SD3),
    _latent2rgb("latent2rgb_flux1", "FLUX.1", latent_spaces.FLUX1, linear_maps.FLUX1),
    *FINE_VARIANTS,
    CONSISTENCY,
)


VARIANTS: Final = tuple(replace(each, also=ALSO_KNOWN_AS.get(each.name, ())) for each in _TABLE)
"""All variants, in the order in which they are listed."""


def variants_for(channels: int, *, built_in: bool = False) -> tuple[Variant, ...]:
    """The variants whose latents have ``channels`` channels.

    Args:
        built_in: Those that the package alone is enough for; else those that are suggested.

    >>> [variant.name for variant in variants_for(48)]
    ['taew2_2', 'taew2_2_super']
    """
    return tuple(
        variant
        for variant in VARIANTS
        if variant.latent_channels == channels
        and (variant.built_in if built_in else variant.is_suggested)
    )
