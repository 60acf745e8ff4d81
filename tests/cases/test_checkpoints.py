"""Checkpoints in the forms that people have them in, and files that are none."""

from __future__ import annotations

import io
import json
import logging
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import taesd_stream as ts
from taesd_stream.cli.main import main
from taesd_stream.models import VARIANTS, variant_named
from taesd_stream.models.weights.checkpoint import read_checkpoint
from tests.synthetic_weights import synthetic_state_dict

StateDict = dict[str, torch.Tensor]

GOLDENS = Path(__file__).parents[1] / "data" / "goldens"
MANIFEST = json.loads((GOLDENS / "manifest.json").read_text())


def official(name: str) -> StateDict:
    arrays = synthetic_state_dict(MANIFEST[name])
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


@pytest.fixture(scope="module")
def taesd() -> StateDict:
    return official("taesd")


@pytest.fixture(scope="module")
def latents() -> torch.Tensor:
    return torch.randn(1, 4, 3, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def expected(taesd: StateDict, latents: torch.Tensor) -> torch.Tensor:
    return ts.load(taesd, device="cpu", backend="torch").decode(latents)


PREFIXES = (
    *("tae.", "vae.", "first_stage_model.", "taesd.", "taehv.", "model.", "autoencoder."),
    *("module.", "_orig_mod.", "model.vae.", "net.tiny."),
)
WRAPPERS = (
    *("model", "params", "params_ema", "ema", "model_state_dict", "state_dict", "generator"),
)


def beside(state: object, key: str) -> dict[str, Any]:
    """What trainers save: weights beside an optimizer, its state and numbers."""
    moments = {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(64, 4, 3, 3)}}
    optimizer = {"state": moments, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    return {"epoch": 7, "global_step": torch.tensor(900), key: state, "optimizer": optimizer}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes(
    taesd: StateDict, latents: torch.Tensor, expected: torch.Tensor, prefix: str
) -> None:
    state = {prefix + key: tensor for key, tensor in taesd.items()}
    found = ts.load(state, device="cpu", backend="torch")
    assert torch.equal(found.decode(latents), expected)
    assert found.spec.can_encode


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_beside_what_a_trainer_keeps(
    tmp_path: Path,
    taesd: StateDict,
    latents: torch.Tensor,
    expected: torch.Tensor,
    wrapper: str,
) -> None:
    torch.save(beside(taesd, wrapper), tmp_path / "taesd.pth")
    found = ts.load(tmp_path / "taesd.pth", device="cpu", backend="torch")
    assert torch.equal(found.decode(latents), expected)


def test_what_lies_beside_is_named_in_the_log(
    taesd: StateDict, caplog: pytest.LogCaptureFixture
) -> None:
    beside_it = {"discriminator.0.weight": torch.zeros(8, 3, 3, 3), "loss.logvar": torch.zeros(9)}
    with caplog.at_level(logging.INFO, logger="taesd_stream"):
        found = read_checkpoint(beside(taesd | beside_it, "state_dict"))
    assert found.encoder is not None
    assert "(discriminator, epoch, global_step, loss, optimizer)" in caplog.messages[0]


def test_halves_in_mappings_of_their_own(taesd: StateDict) -> None:
    halves: dict[str, StateDict] = {"encoder": {}, "decoder": {}}
    for key, tensor in taesd.items():
        role, _, rest = key.partition(".")
        halves[role][rest] = tensor
    for given in (halves, {"model": halves, "step": 3}):
        found = read_checkpoint(given)  # type: ignore[arg-type]
        assert found.encoder is not None
        assert found.decoder is not None


@pytest.mark.parametrize("averaged", ["params_ema", "ema", "model_ema"])
def test_the_averaged_weights_are_taken_and_it_is_said(
    taesd: StateDict, caplog: pytest.LogCaptureFixture, averaged: str
) -> None:
    raw = {key: torch.zeros_like(tensor) for key, tensor in taesd.items()}
    with caplog.at_level(logging.INFO, logger="taesd_stream"):
        found = read_checkpoint({"params": raw, averaged: taesd})  # type: ignore[dict-item]
    assert found.decoder is not None
    assert torch.equal(found.decoder["1.weight"], taesd["decoder.1.weight"])
    assert f"took the averaged weights, '{averaged}.', not 'params.'" in caplog.messages[0]


def test_two_models_in_one_file_are_a_question(taesd: StateDict) -> None:
    with pytest.raises(ts.CheckpointError, match=r"the names of 2, beginning with 'a\.', 'b\.'"):
        read_checkpoint({"a": taesd, "b": taesd})  # type: ignore[dict-item]


def test_layers_of_a_full_vae_beside_are_refused(taesd: StateDict) -> None:
    with pytest.raises(ts.CheckpointError, match=r"'post_quant_conv\.weight'; this looks like a f"):
        read_checkpoint(taesd | {"post_quant_conv.weight": torch.zeros(4, 4, 1, 1)})


def test_diffusers_halves_alone(taesd: StateDict) -> None:
    """AutoencoderTiny's encoder or decoder, saved by itself: ``layers.0.weight``."""
    for role, shift in (("encoder", 0), ("decoder", 1)):
        state = {}
        for key, tensor in taesd.items():
            half, number, *rest = key.split(".")
            if half == role:
                state[".".join(["layers", str(int(number) - shift), *rest])] = tensor
        found = read_checkpoint(state)
        half = found.encoder if role == "encoder" else found.decoder
        assert half is not None
        assert {f"{role}.{key}" for key in half} == {k for k in taesd if k.startswith(role)}


def test_the_legacy_pickle_format(
    tmp_path: Path, taesd: StateDict, latents: torch.Tensor, expected: torch.Tensor
) -> None:
    path = tmp_path / "taesd.pth"
    torch.save(beside(taesd, "model"), path, _use_new_zipfile_serialization=False)
    found = ts.load(path, device="cpu", backend="torch")
    assert torch.equal(found.decode(latents), expected)


class _Damage:
    def __reduce__(self) -> tuple[Any, ...]:
        return (torch._utils._rebuild_parameter, (3, False, {}))


def test_a_legacy_file_whose_values_are_no_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"1.weight": _Damage()}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ts.CheckpointError, match=r"a\.pth: expected"):
        read_checkpoint(path)
    whole = path.read_bytes()
    for cut in range(120, len(whole), 37):
        path.write_bytes(whole[:cut])
        with pytest.raises(ts.CheckpointError):
            read_checkpoint(path)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_float8_weights(tmp_path: Path, taesd: StateDict, dtype: torch.dtype, suffix: str) -> None:
    state = {key: tensor.to(dtype) for key, tensor in taesd.items()}
    path = tmp_path / f"taesd{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    found = read_checkpoint(path)
    assert found.decoder is not None
    wide = state["decoder.3.conv.0.weight"].to(torch.float32)
    assert torch.equal(found.decoder["3.conv.0.weight"], wide)


def test_float8_weights_with_scales(taesd: StateDict) -> None:
    """As ComfyUI writes them: a scale beside each weight, and a marker."""
    state: StateDict = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for key, tensor in taesd.items():
        if key.endswith(".weight"):
            scale = tensor.abs().max() / 448
            state[key] = (tensor / scale).to(torch.float8_e4m3fn)
            state[f"{key.removesuffix('weight')}scale_weight"] = scale
        else:
            state[key] = tensor
    found = read_checkpoint(state)
    assert found.decoder is not None
    for key in ("1.weight", "19.weight"):
        error = found.decoder[key] - taesd[f"decoder.{key}"]
        assert error.abs().max() < 0.04 * taesd[f"decoder.{key}"].abs().max()


# --- several files ---------------------------------------------------------------------------


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


# --- what is no checkpoint -------------------------------------------------------------------


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


# --- names -----------------------------------------------------------------------------------


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
