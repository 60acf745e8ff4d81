from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from taesd_stream.cli.describe import (
    describe_checkpoint,
    describe_file,
    describe_latents,
    model_rows,
)
from taesd_stream.errors import CheckpointError, InputError, LatentsError
from taesd_stream.models import VARIANTS, variant_named


def _weights(path: Path, *halves: str) -> Path:
    variant = variant_named("taef2")
    makers = {"encoder": variant.encoder, "decoder": variant.decoder}
    for half in halves:
        make = makers[half]
        assert make is not None
        shapes = make().shapes()
        state = {name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}
        torch.save(state, path / f"taef2_{half}.pth")
    return path


def test_models_inside_the_package_are_named_last(tmp_path: Path) -> None:
    torch.save(torch.zeros(3, 4, 6, 8), tmp_path / "z.pt")
    words, values = describe_latents(tmp_path / "z.pt")
    assert values["models"] == ["taesd", "taesdxl", "taesdv", "nano", "latent2rgb"]
    assert "taesdv, nano, latent2rgb" in words


def test_latents(tmp_path: Path) -> None:
    torch.save(torch.zeros(3, 32, 6, 8, dtype=torch.bfloat16), tmp_path / "z.pt")
    words, values = describe_latents(tmp_path / "z.pt")
    models = values.pop("models")
    assert models[:2] == ["taef2", "taesana"]
    assert f"models for them: {', '.join(models)}" in words
    assert values == {
        "kind": "latents",
        "file": str(tmp_path / "z.pt"),
        "shape": [3, 32, 6, 8],
        "layout": "T C H W",
        "dtype": "bfloat16",
        "convention": None,
        "frames_per_second": None,
        "pixels": None,
        "latents": 3,
        "channels": 32,
        "height": 6,
        "width": 8,
    }
    for said in ("3 latents of 32 channels", "8x6", "bfloat16"):
        assert said in words


@pytest.mark.parametrize("wrap", [lambda z: z, lambda z: {"samples": z}, lambda z: [z, z]])
def test_every_reading_of_axes_that_fit_several(tmp_path: Path, wrap) -> None:
    torch.save(wrap(torch.zeros(1, 4, 16, 6, 8)), tmp_path / "z.pt")
    words, values = describe_latents(tmp_path / "z.pt")
    assert values["layout"] is None
    readings = values["readings"]
    assert [each["channels"] for each in readings] == [4, 16]
    assert [each["models"][:2] for each in readings] == [["taesd", "taesdxl"], ["taesd3", "taef1"]]
    assert words.splitlines()[-1] == "say --layout NCTHW or NTCHW"


@pytest.mark.parametrize(
    ("name", "channels", "models"),
    [("wan_t2v.pth", 16, ["taesd3", "taef1"]), ("sd_ncthw.pt", 4, ["taesd", "taesdxl"])],
)
def test_the_reading_that_the_numbers_tell(
    shared: Path, name: str, channels: int, models: list[str]
) -> None:
    words, values = describe_latents(shared / "latents" / name)
    assert values["layout"] == "N C T H W"
    assert (values["latents"], values["channels"]) == (16, channels)
    assert set(models) <= set(values["models"])
    assert "readings" not in values
    assert "taken as N C T H W, told by content" in words
    assert "N T C H W would fit too: see --layout" in words


def test_many_files_whose_numbers_tell_one_reading(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    scene = torch.randn(1, 16, 1, 6, 8, generator=random)
    still = scene.expand(1, 16, 16, 6, 8).contiguous()
    for number in range(2):
        torch.save(still, tmp_path / f"{number}.pt")
    words, values = describe_latents(tmp_path)
    assert (values["layout"], values["latents"]) == ("T C H W", 32)
    assert "each part taken as N C T H W, told by content" in words


def test_a_checkpoint_of_both_halves(tmp_path: Path) -> None:
    words, values = describe_checkpoint(_weights(tmp_path, "encoder", "decoder"))
    assert values["model"] == "taef2"
    assert values["latent_channels"] == 32
    assert values["parameters"] == {"encoder": 1_338_528, "decoder": 1_338_499}
    assert "encoder of 1,338,528 parameters and decoder of 1,338,499 parameters" in words


def test_a_checkpoint_of_one_half(tmp_path: Path) -> None:
    _, values = describe_checkpoint(_weights(tmp_path, "encoder"))
    assert list(values["parameters"]) == ["encoder"]
    assert (values["halo"], values["latents_back"]) == (None, None)


def _video_weights(path: Path, name: str, *halves: str) -> Path:
    variant = variant_named(name)
    makers = {"encoder": variant.encoder, "decoder": variant.decoder}
    state: dict[str, torch.Tensor] = {}
    for half in halves:
        make = makers[half]
        assert make is not None
        state |= {f"{half}.{key}": torch.zeros(shape) for key, shape in make().shapes().items()}
    save_file(state, path)
    return path


def test_a_video_checkpoint_says_how_it_counts_in_time(tmp_path: Path) -> None:
    path = _video_weights(tmp_path / "w.safetensors", "taem1", "encoder", "decoder")
    words, values = describe_checkpoint(path)
    assert (
        "taem1, for the latents of Mochi 1: 12 channels, 8 pixels and 6 frames per latent;" in words
    )
    assert "; a frame looks 8 latents back, the first one needs 1 latent;" in words
    assert (values["temporal_scale"], values["latents_back"]) == (6, 8)
    assert (values["first_frame_after"], values["fits"]) == (1, ["taem1"])


def test_the_encoder_alone_looks_at_no_latents(tmp_path: Path) -> None:
    path = _video_weights(tmp_path / "w.safetensors", "taehv", "encoder")
    words, values = describe_checkpoint(path)
    assert "latents back" not in words
    assert values["latents_back"] is None


def test_models_of_the_same_shapes_are_all_named(tmp_path: Path) -> None:
    path = _video_weights(tmp_path / "taecvx.safetensors", "taecvx", "decoder")
    words, values = describe_checkpoint(path)
    assert (
        "taehv or taew2_1 or taeos1_3 or taecvx or lighttaew2_1, for the latents of one of these"
        in words
    )
    assert (values["model"], values["latents_of"]) == (None, None)
    assert values["fits"] == ["taehv", "taew2_1", "taeos1_3", "taecvx", "lighttaew2_1"]


def test_a_file_is_what_it_holds(tmp_path: Path) -> None:
    torch.save(torch.zeros(4, 6, 8), tmp_path / "z.pt")
    assert describe_file(tmp_path / "z.pt")[1]["kind"] == "latents"
    weights = _weights(tmp_path, "decoder") / "taef2_decoder.pth"
    assert describe_file(weights)[1]["kind"] == "checkpoint"


def test_neither(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("eggs")
    with pytest.raises(InputError, match=r"a\.txt: expected latents or a checkpoint"):
        describe_file(tmp_path / "a.txt")
    with pytest.raises(LatentsError):
        describe_latents(tmp_path / "a.txt")
    with pytest.raises(CheckpointError):
        describe_checkpoint(tmp_path / "a.txt")
    with pytest.raises(LatentsError, match=r"missing\.pt"):
        describe_file(tmp_path / "missing.pt")


def test_neither_in_a_line_that_is_not_long(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({f"a.module.of.a.long.name.{n}": torch.zeros(3) for n in range(40)}, path)
    with pytest.raises(InputError) as caught:
        describe_file(path)
    line, details = str(caught.value).removeprefix(str(path)), caught.value.details
    assert len(line) < 290
    assert "as latents: expected the key" in line
    assert "as a checkpoint: expected layers" in line
    assert "say which with --key" in details[0]
    assert details[1].endswith("of the TAESD family")
    with pytest.raises(LatentsError) as caught_latents:
        describe_latents(path)
    assert len(str(caught_latents.value).removeprefix(str(path))) < 290


def test_rows_of_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TAESD_STREAM_CACHE", str(tmp_path))
    rows = {row["model"]: row for row in model_rows()}
    assert list(rows) == [each.name for each in VARIANTS]
    assert rows["latent2rgb"]["weights"] == rows["nano"]["weights"] == "built in"
    assert rows["taesd"] == {
        "model": "taesd",
        "latents of": "Stable Diffusion 1 and 2",
        "channels": 4,
        "scale": 8,
        "frames": 1,
        "back": 0,
        "first": 1,
        "weights": "online",
        "also": list(variant_named("taesd").also),
    }
    assert rows["taeh3"] | {"frames": 4, "back": 8, "first": 2} == rows["taeh3"]
    assert (rows["taesdv"]["frames"], rows["taesdv"]["back"]) == (1, 10)


def _video_table() -> dict[str, list[str]]:
    """The documentation's rows of video models, by name."""
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    section = page.partition("## For videos")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    return {name: cells[1:] for cells in rows[2:] for name in [cells[0].strip("`")]}


def _frames(formula: str, latents: int) -> int:
    """The value of "4 T - 3 if T is odd, else 4 T" for so many latents."""
    odd, _, even = formula.replace(" if T is odd", "").partition(", else ")
    chosen = even if even and latents % 2 == 0 else odd
    if "k" in chosen:
        return 17 * ((latents - 2) // 5) + 5
    factor, _, less = chosen.partition("T")
    return int(factor or 1) * latents - int(less.strip("- ") or 0)


def test_the_documentation_has_the_figures_of_video_models() -> None:
    table = _video_table()
    rows = {row["model"]: row for row in model_rows()}
    assert set(table) == {name for name, row in rows.items() if row["back"] > 0}
    for name, (_, channels, scale, formula, back, first) in table.items():
        told = [int(each) for each in (channels, scale, back, first)]
        row = rows[name]
        assert told == [row["channels"], row["scale"], row["back"], row["first"]], name
        timing = variant_named(name).timing
        for latents in range(timing.least, 14):
            assert timing.frames(latents) == _frames(formula, latents), (name, latents)
