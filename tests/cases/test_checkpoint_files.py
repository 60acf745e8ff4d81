"""Folders and shards of weights, files that are none, and the names that users give models."""

from __future__ import annotations

import io
import json
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import taesd_stream as ts
from taesd_stream.cli.main import main
from taesd_stream.models import VARIANTS, variant_named
from taesd_stream.models.weights.checkpoint import read_checkpoint
from tests.cases.official_weights import MANIFEST, StateDict, official


@pytest.fixture(scope="module")
def taesd() -> StateDict:
    return official("taesd")


def sharded(folder: Path, state: StateDict, stem: str, suffix: str) -> Path:
    """Two files and their index, as transformers and diffusers write them."""
    keys = sorted(state)
    index = {"metadata": {"total_size": 1}, "weight_map": {}}
    for number, part in enumerate((keys[::2], keys[1::2]), 1):
        name = f"{stem}-{number:05}-of-00002{suffix}"
        inside = {key: state[key] for key in part}
        path = folder / name
        save_file(inside, path) if suffix == ".safetensors" else torch.save(inside, path)
        index["weight_map"] |= dict.fromkeys(part, name)  # type: ignore[operator]
    path = folder / f"{stem}{suffix}.index.json"
    path.write_text(json.dumps(index))
    return path


@pytest.mark.parametrize("stem", ["diffusion_pytorch_model", "model", "taesd"])
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_shards_by_their_index_their_folder_or_one_of_them(
    tmp_path: Path, taesd: StateDict, stem: str, suffix: str
) -> None:
    index = sharded(tmp_path, taesd, stem, suffix)
    for given in (index, tmp_path, tmp_path / f"{stem}-00002-of-00002{suffix}"):
        found = read_checkpoint(given)
        assert found.encoder is not None
        assert found.decoder is not None
        assert len(found.encoder) + len(found.decoder) == len(taesd)
        assert found.origin == str(index)


def test_shards_that_are_missing_or_elsewhere(tmp_path: Path, taesd: StateDict) -> None:
    index = sharded(tmp_path, taesd, "model", ".safetensors")
    (tmp_path / "model-00001-of-00002.safetensors").rename(tmp_path / "away")
    with pytest.raises(ts.CheckpointError, match=r"found no model-00001-of-00002\.safetensors"):
        read_checkpoint(index)
    for name in ("../away", "/etc/passwd", ".."):
        index.write_text(json.dumps({"weight_map": {"decoder.1.weight": name}}))
        with pytest.raises(ts.CheckpointError, match="expected names of files beside it"):
            read_checkpoint(index)
    for text in ("", "[]", '{"weight_map": 3}', "{"):
        index.write_text(text)
        with pytest.raises(ts.CheckpointError, match="expected an index of sharded weights"):
            read_checkpoint(index)


@pytest.fixture
def vae_approx(tmp_path: Path) -> Path:
    """A folder as ComfyUI's users have it; the decoders' first biases tell the models apart."""
    folder = tmp_path / "vae_approx"
    folder.mkdir()
    (folder / "put_taesd_encoder_pth_and_taesd_decoder_pth_here").touch()
    for number, (shapes, stem) in enumerate(
        (("taesd", "taesd"), ("taesd", "taesdxl"), ("taesd3", "taesd3"), ("taesd3", "taef1"))
    ):
        for role in ("encoder", "decoder"):
            keys = (key for key in MANIFEST[shapes]["shapes"] if key.startswith(role))
            state = {
                key.removeprefix(f"{role}."): torch.full(MANIFEST[shapes]["shapes"][key], number)
                for key in keys
            }
            half = {key: tensor.half() for key, tensor in state.items()}
            torch.save(half, folder / f"{stem}_{role}.pth")
    for number, stem in enumerate(("taew2_2", "lighttaew2_2"), 4):
        shapes = MANIFEST["taew2_2"]["shapes"]
        state = {key: torch.full(shape, number).half() for key, shape in shapes.items()}
        save_file(state, folder / f"{stem}.safetensors")
    return folder


@pytest.mark.parametrize(
    ("variant", "number"),
    [("taesd", 0), ("taesdxl", 1), ("taesd3", 2), ("taef1", 3), ("taew2_2", 4), ("SDXL", 1)],
)
def test_a_folder_of_many_models_and_the_variant_that_is_wanted(
    vae_approx: Path, variant: str, number: int
) -> None:
    found = read_checkpoint(vae_approx, variant)
    assert found.decoder is not None
    assert found.encoder is not None
    assert float(found.decoder["1.bias"][0]) == number
    ae = ts.load(vae_approx, variant=variant, device="cpu", backend="torch")
    assert ae.spec.name == variant_named(variant).name


def test_a_folder_of_many_models_without_a_variant_is_a_question(vae_approx: Path) -> None:
    with pytest.raises(ts.CheckpointError, match=r"found 10 files \(.*, \.\.\.\).*--variant") as no:
        ts.load(vae_approx)
    assert "taesdxl_decoder.pth" in no.value.details
    with pytest.raises(ts.CheckpointError, match="files of one model named taehv1_5"):
        ts.load(vae_approx, variant="taehv1_5")


def _lfs(path: Path) -> None:
    path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4910212\n", newline="\n"
    )


def _html(path: Path) -> None:
    path.write_text("\n<!DOCTYPE html>\n<html lang='en'><title>taesd</title></html>")


def _xhtml(path: Path) -> None:
    path.write_text('<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>')


def _torchscript(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(torch.nn.ReLU(), torch.zeros(1))  # type: ignore[no-untyped-call]
        torch.jit.save(traced, path)  # type: ignore[no-untyped-call]


def _gguf(path: Path) -> None:
    path.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(64))


def _tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("taesd.pth")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))


def _png(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))


def _json(path: Path) -> None:
    path.write_text('{"_class_name": "AutoencoderTiny"}')


FOREIGN = {
    "git-lfs pointer": _lfs,
    r"web page \(HTML\)": _html,
    r"a web page": _xhtml,
    "TorchScript archive": _torchscript,
    "GGUF file": _gguf,
    "tar archive": _tar,
    "a picture": _png,
    "JSON text": _json,
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".pt", ".bin"])
@pytest.mark.parametrize(("said", "write"), FOREIGN.items())
def test_other_files_are_called_what_they_are(
    tmp_path: Path, said: str, write: Callable[[Path], None], suffix: str
) -> None:
    path = tmp_path / f"taesd_decoder{suffix}"
    write(path)
    if said == "TorchScript archive" and suffix == ".safetensors":
        said = "torch.save archive"
    with pytest.raises(ts.CheckpointError, match=said) as no:
        ts.load(path)
    assert len(str(no.value)) - len(str(tmp_path)) < 250


def test_an_unknown_checkpoint_is_one_short_line_and_its_details_are_asked_for(
    tmp_path: Path, taesd: StateDict, capsys: pytest.CaptureFixture[str]
) -> None:
    state = taesd | {"decoder.1.weight": torch.zeros(64, 5, 3, 3)}
    torch.save(state, tmp_path / "x.pth")
    torch.save(torch.zeros(1, 4, 2, 2), tmp_path / "z.pt")
    words = ["decode", str(tmp_path / "z.pt"), str(tmp_path / "a.png"), "--model"]
    words.append(str(tmp_path / "x.pth"))
    assert main(words) == 2
    line = capsys.readouterr().err.rstrip("\n").rpartition("\n")[2]
    assert len(line) - len(str(tmp_path)) < 300
    assert "nearest is taesd, but its decoder's 1.weight is (64, 5, 3, 3)" in line
    assert main([*words, "--verbose"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert any(each.startswith("  not taef2: ") for each in told)
    assert "  decoder.1.weight: [64, 5, 3, 3]" in told
    assert told[-1] == line
    with pytest.raises(ts.CheckpointError) as no:
        ts.load(tmp_path / "x.pth")
    assert set(no.value.details) <= set(no.value.__notes__)


@pytest.mark.parametrize(
    ("known_as", "name"),
    [
        ("z-image", "taef1"),
        ("HiDream", "taef1"),
        ("Lumina2", "taef1"),
        ("lumina 2", "taef1"),
        ("Chroma", "taef1"),
        ("flux.1 kontext", "taef1"),
        ("FLUX_Krea", "taef1"),
        ("OmniGen2", "taef1"),
        ("kandinsky5-image", "taef1"),
        ("Qwen-Image", "taew2_1"),
        ("qwenimage", "taew2_1"),
        ("Krea 2", "taew2_1"),
        ("cosmos", "taew2_1"),
        ("anima", "taew2_1"),
        ("ChronoEdit", "taew2_1"),
        ("wan2.2-14b", "taew2_1"),
        ("FIBO", "taew2_2"),
        ("Wan 2.2 5B", "taew2_2"),
        ("Kandinsky 5 video", "taehv"),
        ("FramePack", "taehv"),
        ("ernie_image", "taef2"),
        ("Ideogram 4", "taef2"),
        ("PixArt-Sigma", "taesdxl"),
        ("HunyuanDiT", "taesdxl"),
        ("Pony", "taesdxl"),
        ("AnimateLCM", "taesdv"),
        ("svd", "taesdv"),
        ("taew2.1", "taew2_1"),
        ("TAEF2", "taef2"),
    ],
)
def test_names_by_which_users_know_a_latent_space(known_as: str, name: str) -> None:
    assert variant_named(known_as).name == name


def test_no_name_leads_to_two_models() -> None:
    from taesd_stream.models.also_known_as import plain_name

    led: dict[str, str] = {}
    for variant in VARIANTS:
        for name in (variant.name, *variant.also):
            assert led.setdefault(plain_name(name), variant.name) == variant.name, name


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("kandinsky5", "Kandinsky 5 Image (taef1), Kandinsky 5 Video (taehv)"),
        ("SkyReels", "SkyReels V1 (taehv), SkyReels V2 (taew2_1)"),
        ("z-imag", "Z-Image (taef1)"),
        ("teasd", "taesd"),
    ],
)
def test_an_unknown_name_is_asked_about(given: str, meant: str) -> None:
    with pytest.raises(ts.ModelNotFoundError) as no:
        ts.load(given)
    assert f"did you mean {meant}" in str(no.value)
    assert len(str(no.value)) < 300


def test_a_name_of_users_plans_with_the_model_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(torch.zeros(1, 16, 8, 8), tmp_path / "z.pt")
    assert main(["plan", str(tmp_path / "z.pt"), "--model", "z-image", "--layout", "NCHW"]) == 0
    assert main(["models"]) == 0
    assert "Z-Image" in capsys.readouterr().out
