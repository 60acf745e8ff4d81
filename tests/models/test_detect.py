"""Shapes decide which variant a checkpoint is; its name only breaks ties."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor

from taesd_stream.errors import CheckpointError, ModelNotFoundError
from taesd_stream.models import Checkpoint, Network, build, detect, variant_named

StateDict = dict[str, Tensor]


def weights(network: Network) -> StateDict:
    return {name: torch.zeros(()).expand(shape) for name, shape in network.shapes().items()}


def checkpoint(name: str, *, halves: str = "both", stem: str | None = None) -> Checkpoint:
    variant = variant_named(name)
    assert variant.encoder is not None
    return Checkpoint(
        encoder=weights(variant.encoder()) if halves in ("both", "encoder") else None,
        decoder=weights(variant.decoder()) if halves in ("both", "decoder") else None,
        origin="the file",
        stem_hint=stem,
    )


@pytest.mark.parametrize("halves", ["both", "encoder", "decoder"])
@pytest.mark.parametrize("name", ["taesd", "taesd3", "taef2", "taesana"])
def test_shapes_alone_tell_the_variant(name: str, halves: str) -> None:
    found = checkpoint(name, halves=halves)
    assert detect(found).name == name
    encoder, decoder = build(detect(found), found)
    assert (encoder is not None) == (halves != "decoder")
    assert (decoder is not None) == (halves != "encoder")


@pytest.mark.parametrize(
    ("shapes_of", "stem", "chosen"),
    [
        ("taesd", None, "taesd"),
        ("taesd", "my_model", "taesd"),
        ("taesd", "taesd_decoder", "taesd"),
        ("taesd", "taesdxl_decoder", "taesdxl"),
        ("taesd", "TAESDXL", "taesdxl"),
        ("taesd3", "taef1_decoder", "taef1"),
        ("taesd3", "weights", "taesd3"),
    ],
)
def test_the_stem_breaks_a_tie_and_the_log_says_so(
    shapes_of: str, stem: str | None, chosen: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="taesd_stream"):
        assert detect(checkpoint(shapes_of, stem=stem)).name == chosen
    (record,) = caplog.records
    assert f"taken for {chosen}" in record.message


def test_a_stem_never_overrules_shapes() -> None:
    assert detect(checkpoint("taef2", stem="taesd_decoder")).name == "taef2"


@pytest.mark.parametrize("variant", ["taesd", "taesdxl", "TAESDXL"])
def test_the_argument_overrules_the_stem(variant: str) -> None:
    found = detect(checkpoint("taesd", stem="taesd_decoder"), variant)
    assert found.name == variant.lower()


@pytest.mark.parametrize(
    ("variant", "complaint"),
    [
        (
            "taesd3",
            "the file: expected taesd3, but its decoder's 1.weight is (64, 4, 3, 3), not"
            " (64, 16, 3, 3); the shapes fit taesd, taesdxl",
        ),
        (
            "latent2rgb",
            "the file: expected latent2rgb, but it needs no checkpoint; the shapes fit taesd,"
            " taesdxl",
        ),
    ],
)
def test_the_wrong_argument_is_refused_with_the_difference(variant: str, complaint: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        detect(checkpoint("taesd"), variant)
    assert str(caught.value) == complaint


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(ModelNotFoundError, match="taesd9"):
        detect(checkpoint("taesd"), "taesd9")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"1.weight": torch.zeros(64, 5, 3, 3)}, r"1.weight is \(64, 5, 3, 3\), not"),
        ({"20.weight": torch.zeros(3, 3, 3, 3)}, "20.weight belongs to no layer"),
        ({"19.bias": None}, "19.bias is missing"),
    ],
)
def test_unknown_shapes_are_refused_in_one_line_that_quotes_them(
    change: dict[str, Tensor | None], complaint: str
) -> None:
    decoder = {**weights(variant_named("taesd").decoder()), **change}
    state = {name: tensor for name, tensor in decoder.items() if tensor is not None}
    unknown = Checkpoint(encoder=None, decoder=state, origin="x.pth", stem_hint="taesd")
    with pytest.raises(CheckpointError, match=complaint) as caught:
        detect(unknown)
    assert str(caught.value).startswith("x.pth: expected the weights of taesd")
    assert "\n" not in str(caught.value)


def test_halves_of_different_models_are_refused() -> None:
    mixed = Checkpoint(
        encoder=checkpoint("taesd3").encoder,
        decoder=checkpoint("taesd").decoder,
        origin="mixed",
        stem_hint=None,
    )
    with pytest.raises(CheckpointError, match="encoder's"):
        detect(mixed)


def test_building_takes_the_weights_themselves_over() -> None:
    variant = variant_named("taesd")
    state = {
        name: torch.full(shape, float(index))
        for index, (name, shape) in enumerate(variant.decoder().shapes().items())
    }
    encoder, decoder = build(variant, Checkpoint(None, state, "memory", None))
    assert encoder is None
    assert decoder is not None
    for name, tensor in decoder.state_dict().items():
        assert torch.equal(tensor, state[name])
        assert tensor.device.type == "cpu"
