"""Shapes decide which variant a checkpoint is; its name only breaks ties."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from taesd_stream.errors import CheckpointError, ModelNotFoundError
from taesd_stream.models import Checkpoint, Network, build, detect, variant_named
from taesd_stream.models.weights import variant_detection

StateDict = dict[str, Tensor]

OFFICIAL = json.loads(
    (Path(__file__).parents[1] / "data" / "goldens" / "manifest.json").read_text()
)
VIDEO = ("taesdv", "taew2_2", "taew2_2_super", "taehv1_5", "taeltx_2", "taeh3", "taem1")
SAME_SHAPES = ("taehv", "taew2_1", "taeos1_3", "taecvx")


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
            " (64, 16, 3, 3); the shapes fit taesd, taesdxl, hybrid-sd-tinyvae,"
            " hybrid-sd-tinyvae-xl",
        ),
        (
            "latent2rgb",
            "the file: expected latent2rgb, but it needs no checkpoint; the shapes fit taesd,"
            " taesdxl, hybrid-sd-tinyvae, hybrid-sd-tinyvae-xl",
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
    assert str(caught.value).startswith("x.pth: expected the weights of a known model")
    assert "nearest is taesd, but" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert any(line.startswith("not taef2: ") for line in caught.value.details)


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


def official(name: str, *, halves: str = "both", stem: str | None = None) -> Checkpoint:
    """A checkpoint of the official names and shapes, in which all weights are zero."""
    found: dict[str, StateDict] = {"encoder": {}, "decoder": {}}
    for key, shape in OFFICIAL[name]["shapes"].items():
        half, _, rest = key.partition(".")
        found[half][rest] = torch.zeros(()).expand(shape)
    return Checkpoint(
        encoder=found["encoder"] if halves in ("both", "encoder") else None,
        decoder=found["decoder"] if halves in ("both", "decoder") else None,
        origin="the file",
        stem_hint=stem,
    )


@pytest.mark.parametrize("halves", ["both", "decoder"])
@pytest.mark.parametrize("name", [*VIDEO, "taesd", "taesd3", "taef2", "taesana"])
def test_the_official_shapes_tell_the_variant(name: str, halves: str) -> None:
    assert detect(official(name, halves=halves)).name == name


@pytest.mark.parametrize("stem", [None, "taecvx", "weights"])
@pytest.mark.parametrize("halves", ["both", "decoder"])
@pytest.mark.parametrize("name", ["taehv", "taecvx"])
def test_shapes_of_models_that_make_other_frames_need_the_argument(
    name: str, halves: str, stem: str | None
) -> None:
    found = official(name, halves=halves, stem=stem)
    with pytest.raises(CheckpointError) as caught:
        detect(found)
    message = str(caught.value)
    assert message.startswith("the file: ")
    assert "\n" not in message
    for choice in SAME_SHAPES:
        assert f"{choice} (" in message
    assert ("the name suggests taecvx" in message) == (stem == "taecvx")
    assert "--variant" in message
    for choice in SAME_SHAPES:
        assert detect(found, choice).name == choice


def test_an_encoder_alone_is_the_same_for_all_of_them() -> None:
    assert detect(official("taehv", halves="encoder")).name == "taehv"
    assert detect(official("taehv", halves="encoder", stem="taecvx_enc")).name == "taecvx"


def test_an_encoder_of_image_and_video_models_alike_is_told_by_its_name() -> None:
    assert detect(official("taesdv", halves="encoder")).name == "taesd"
    assert detect(official("taesdv", halves="encoder", stem="taesdv")).name == "taesdv"


@pytest.mark.parametrize(
    ("name", "wrong", "complaint"),
    [
        ("taehv", "taesd3", "its decoder's 1.weight is (256, 16, 3, 3), not (64, 16, 3, 3)"),
        ("taehv", "taew2_2", "its decoder's 1.weight is (256, 16, 3, 3), not (256, 48, 3, 3)"),
        ("taew2_2", "taew2_2_super", "its decoder's 0.weight is missing"),
        ("taesdv", "taesd", "its decoder's 3.conv.0.weight is (64, 128, 3, 3), not (64, 64, 3, 3)"),
        ("taehv1_5", "taehv", "its decoder's 1.weight is (256, 32, 3, 3), not (256, 16, 3, 3)"),
    ],
)
def test_an_argument_that_the_shapes_contradict_is_refused(
    name: str, wrong: str, complaint: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        detect(official(name), wrong)
    assert str(caught.value).startswith(f"the file: expected {wrong}, but {complaint}; ")
    assert name in str(caught.value).partition("the shapes fit")[2]
    assert "\n" not in str(caught.value)


def test_variants_of_the_same_shapes_and_frames_are_told_by_the_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="taesd_stream"):
        assert detect(official("taeltx_2")).name == "taeltx_2"
        assert detect(official("taeltx_2", stem="taeltx2_3_wide")).name == "taeltx2_3"
    assert [record.message.rpartition("taken for ")[2] for record in caplog.records] == [
        "taeltx_2, the first of them",
        "taeltx2_3, because of its name 'taeltx2_3_wide'",
    ]


def test_a_variant_that_is_named_is_held_against_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    given = checkpoint("taesd")
    monkeypatch.setattr(variant_detection, "fitting_variants", lambda given: pytest.fail("others"))
    assert detect(given, "taesdxl").name == "taesdxl"
