"""How nano is made: pictures are the same for the same seed, and runs go on as if never cut."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import taesd_stream as ts
from taesd_stream.models import Network
from taesd_stream.models.architectures import nano_decoder
from training.crops import Crops
from training.dead_leaves import dead_leaves
from training.export import export
from training.figures import Example, Score, score
from training.halves import HALVES
from training.sources import _webp_within, is_held_out
from training.teacher import Encoder
from training.trainer import Recipe, Trainer

TINY = Recipe(batch=2, size=16, warmup=2)
CPU = torch.device("cpu")


def batches(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(2, 4, 2, 2, generator=generator), torch.rand(
        2, 3, 16, 16, generator=generator
    )


def no_figures(_: Network) -> dict[str, float]:
    return {}


def weights_of(trainer: Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures under the names of a package, some of which are held out."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(12):
        picture = dead_leaves(260, np.random.default_rng(number))
        cv2.imwrite(str(folder / f"lxqt-themes__{number}.png"), picture)
    return folder


def test_what_is_trained_is_what_the_engine_computes(tmp_path: Path) -> None:
    network = Trainer(nano_decoder(), TINY, tmp_path, CPU).network
    z = torch.randn(1, 4, 7, 9, generator=torch.Generator().manual_seed(0))
    state = {f"decoder.{name}": value for name, value in network.state_dict().items()}
    ae = ts.load(state, device="cpu", dtype="float32", backend="torch")
    assert ae.spec.name == "nano"
    with torch.inference_mode():
        expected = network.plain(z).clamp(0, 1)
    torch.testing.assert_close(ae.decode(z, tile=3), expected, atol=1e-5, rtol=0)


def test_a_run_that_is_cut_short_goes_on_as_if_it_were_not(tmp_path: Path) -> None:
    whole = Trainer(nano_decoder(), TINY, tmp_path / "whole", CPU)
    whole.run(batches, 6, every=3, measure=no_figures)
    cut = Trainer(nano_decoder(), TINY, tmp_path / "cut", CPU)
    with pytest.raises(KeyboardInterrupt):
        cut.run(_interrupted(after=4), 6, every=3, measure=no_figures)
    again = Trainer(nano_decoder(), TINY, tmp_path / "cut", CPU)
    assert again.step == 3
    again.run(batches, 6, every=3, measure=no_figures)
    expected = weights_of(whole)
    assert all(torch.equal(value, expected[name]) for name, value in weights_of(again).items())
    steps = [json.loads(line)["step"] for line in _history(tmp_path / "cut")]
    assert steps == [3, 6]


def _interrupted(after: int):  # type: ignore[no-untyped-def]
    def batch(step: int) -> tuple[Tensor, Tensor]:
        if step > after:
            raise KeyboardInterrupt
        return batches(step)

    return batch


def _history(folder: Path) -> list[str]:
    return (folder / "history.jsonl").read_text().splitlines()


def test_a_run_learns(tmp_path: Path) -> None:
    trainer = Trainer(nano_decoder(), TINY, tmp_path, CPU)
    trainer.run(lambda step: batches(0), 30, every=10, measure=no_figures)
    losses = [json.loads(line)["loss"] for line in _history(tmp_path)]
    assert losses[2] < 0.95 * losses[0]


def test_another_seed_makes_other_weights_and_another_recipe_is_refused(tmp_path: Path) -> None:
    first, same, other = (
        weights_of(Trainer(nano_decoder(), Recipe(seed=seed), tmp_path / str(n), CPU))
        for n, seed in enumerate((0, 0, 1))
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])
    Trainer(nano_decoder(), TINY, tmp_path, CPU).run(batches, 1, every=1, measure=no_figures)
    with pytest.raises(ValueError, match="found another seed"):
        Trainer(nano_decoder(), Recipe(seed=1, batch=2, size=16, warmup=2), tmp_path, CPU)


def test_crops_depend_on_the_seed_and_their_number_alone(pictures: Path) -> None:
    crops, again = (Crops.open(pictures, 64, seed=0, leaves=3) for _ in range(2))
    made = crops.batch(5, 3)
    assert made.shape == (3, 3, 64, 64)
    assert made.dtype == np.float32
    assert made.min() >= 0
    assert made.max() <= 1
    assert np.array_equal(made, again.batch(5, 3))
    assert not np.array_equal(made, crops.batch(6, 3))
    assert not np.array_equal(made, Crops.open(pictures, 64, seed=1, leaves=3).batch(5, 3))


def test_pictures_that_are_held_out_are_not_trained_on(pictures: Path) -> None:
    held_out = [path for path in pictures.glob("*.png") if is_held_out(path)]
    assert 0 < len(held_out) < 6
    leaves = len(Crops.open(pictures, 64, seed=0, leaves=3).pictures) - 12 + len(held_out)
    assert leaves == 3
    assert is_held_out(Path("a__Kay.png")) == is_held_out(Path("a__Kay.dark.png"))


def test_no_pictures_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected pictures, found none"):
        Crops.open(tmp_path, 64, seed=0)


def test_pictures_within_a_resource_file_are_found() -> None:
    picture = dead_leaves(32, np.random.default_rng(0))
    content = cv2.imencode(".webp", picture)[1].tobytes()
    found = list(_webp_within(b"qres" + content + b"RIFF\x04\0\0\0WAVE" + content))
    assert [each for _, each in found] == [content, content]


def test_scores_are_those_of_the_picture_and_the_decode() -> None:
    pytest.importorskip("skimage")
    picture = np.full((1, 3, 16, 16), 0.5, np.float32)
    example = Example("grey", picture, np.zeros((1, 4, 2, 2), np.float32))
    found = score(example, lambda latents: picture + 0.1)
    assert found.psnr == pytest.approx(20, abs=0.01)
    assert Score.mean([found, Score(40, 1)]).psnr == pytest.approx(30, abs=0.01)


def test_weights_are_exported_in_half_precision(tmp_path: Path) -> None:
    trainer = Trainer(nano_decoder(), TINY, tmp_path, CPU)
    trainer.run(batches, 1, every=1, measure=no_figures)
    assert export(tmp_path, "decoder", tmp_path / "out.safetensors") == 457_603
    made = load_file(tmp_path / "out.safetensors")
    assert {value.dtype for value in made.values()} == {torch.float16}
    assert ts.load(tmp_path / "out.safetensors", device="cpu").spec.name == "nano"


def test_figures_are_drawn_over_the_steps(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from training.plot import plot

    with pytest.raises(ValueError, match="expected a run with figures"):
        plot(tmp_path, tmp_path / "a.png")
    rows = [
        {"step": step, "loss": 0.1}
        | {
            f"{name}_{figure}": 1.0
            for name in ("held_out", "samples")
            for figure in ("psnr", "ssim")
        }
        for step in (500, 1000, 1000)
    ]
    (tmp_path / "history.jsonl").write_text("\n".join(map(json.dumps, rows)))
    plot(tmp_path, tmp_path / "a.png")
    drawn = cv2.imread(str(tmp_path / "a.png"))
    assert drawn.shape == (432, 1200, 3)


def test_both_halves_learn_from_the_teacher(pictures: Path, shared: Path) -> None:
    """Their batches, end to end: what one reads is what the other makes."""
    pytest.importorskip("openvino")
    crops, encode = Crops.open(pictures, 32, seed=0, leaves=3), Encoder(shared / "teacher")
    latents, wanted = HALVES["decoder"].batches(crops, encode, Recipe(batch=4))(3)
    given, clean = HALVES["encoder"].batches(crops, encode, Recipe(batch=4))(3)
    assert latents.shape == clean.shape == (4, 4, 4, 4)
    assert torch.equal(given, wanted)
    noise = (latents - clean).abs().amax((1, 2, 3))
    assert bool((noise < 0.3).all())
    assert bool((noise == 0).any())
    example = Example("one", given[:1].numpy(), clean[:1].numpy())
    measured = HALVES["encoder"].measure(encode, {"samples": [example]})
    assert measured["samples_snr"] > 60  # the teacher is its own equal
