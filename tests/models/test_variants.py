"""The table of variants against the shapes of the official checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from taesd_stream.errors import ModelNotFoundError
from taesd_stream.models import VARIANTS, Variant, official_names, variant_named, variants_for
from taesd_stream.models.layers.tile_state import TileState
from taesd_stream.models.linear_maps import FLUX1, SD1, SD3, LinearMap
from tiling import Interval

OFFICIAL = json.loads(
    (Path(__file__).parents[1] / "data" / "goldens" / "manifest.json").read_text()
)


@pytest.mark.parametrize("name", OFFICIAL)
def test_names_and_shapes_are_the_official_ones(name: str) -> None:
    variant = variant_named(name)
    assert variant.encoder is not None
    ours = {
        f"{half}.{key}": list(shape)
        for half, build in (("encoder", variant.encoder), ("decoder", variant.decoder))
        for key, shape in build().shapes().items()
    }
    assert ours == OFFICIAL[name]["shapes"]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_variant_keeps_its_promises(variant: Variant) -> None:
    decoder = variant.decoder()
    assert decoder.channels == variant.latent_channels
    assert decoder.out_channels == variant.image_channels
    if variant.encoder is not None:
        encoder = variant.encoder()
        assert encoder.channels == variant.image_channels
        assert encoder.out_channels == variant.latent_channels
        assert encoder.scale == (1, variant.spatial_scale)
    assert (variant.weights == "official") == (variant.name in official_names())
    assert (variant.weights == "hub") == (variant.hub is not None)


def test_names_are_unique_and_in_lower_case() -> None:
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names)
    assert names == [name.lower() for name in names]
    assert {"taesd", "taesdxl", "taesd3", "taef1", "taef2", "taesana"} <= set(names)


def test_a_name_is_found_in_any_case_or_refused_in_one_line() -> None:
    assert variant_named("TaEsAnA").spatial_scale == 32
    with pytest.raises(
        ModelNotFoundError, match=r"found 'taesd4', which is none; did you mean taesd"
    ) as no:
        variant_named("taesd4")
    assert "\n" not in str(no.value)


def test_variants_by_channels() -> None:
    assert [variant.name for variant in variants_for(4)] == ["taesd", "taesdxl", "taesdv"]
    assert [variant.name for variant in variants_for(16)] == [
        "taesd3", "taef1", "taehv", "taew2_1", "taeos1_3", "taecvx",
    ]  # fmt: skip
    assert variants_for(5) == ()
    built_in = [variant.name for variant in variants_for(4, built_in=True)]
    assert built_in == ["nano", "latent2rgb"]


@pytest.mark.parametrize(
    ("name", "linear_map"),
    [("latent2rgb", SD1), ("latent2rgb_sd3", SD3), ("latent2rgb_flux1", FLUX1)],
)
def test_the_linear_map_is_a_matrix_then_smooth_enlargement(
    name: str, linear_map: LinearMap
) -> None:
    variant = variant_named(name)
    latents = torch.randn(
        1, variant.latent_channels, 5, 4, generator=torch.Generator().manual_seed(0)
    )
    factors, bias = torch.tensor(linear_map.factors), torch.tensor(linear_map.bias)
    small = torch.einsum("nchw,ck->nkhw", latents, factors) + bias[:, None, None]
    expected = F.interpolate((small + 1) / 2, scale_factor=8, mode="bicubic")
    (only,) = variant.decoder().passes
    rows = only.body.span(Interval(0, 40), 5)
    columns = only.body.span(Interval(0, 32), 4)
    with torch.no_grad():
        made = only.body(latents, rows, columns, TileState())
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-5)
