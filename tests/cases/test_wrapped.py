"""Latents as Python programs save them: in pickles, outputs of pipelines, tuples, and caches."""

from __future__ import annotations

import argparse
import collections
import logging
import pathlib
import pickle
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import taesd_stream as ts
from taesd_stream.cli.main import main
from tests.cases.saving import SAVERS, opened

_PICTURES = torch.linspace(-3, 3, 3 * 4 * 6 * 8).reshape(3, 4, 6, 8)
_VIDEO = torch.linspace(-3, 3, 16 * 5 * 6 * 8).reshape(1, 16, 5, 6, 8)
_FRAMES = _VIDEO[0].movedim(0, 1)
_EMBEDS = torch.zeros(1, 77, 768)


@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize(
    "content",
    [
        _PICTURES.numpy(),
        {"latents": _PICTURES.numpy(), "scale": np.float32(0.18215), "dtype": np.dtype("f2")},
        [each.numpy() for each in _PICTURES],
        np.asfortranarray(_PICTURES.numpy()),
        _PICTURES.numpy().astype(">f4"),
        np.array({"latents": _PICTURES.numpy(), "prompt": "a hill"}),
        torch.nn.Parameter(_PICTURES),
    ],
    ids=["array", "mapping", "list", "fortran", "big-endian", "object", "parameter"],
)
def test_arrays_in_pickles(content: object, save, tmp_path: Path) -> None:
    assert torch.equal(opened(content, tmp_path, save), _PICTURES)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("is_numpy", [True, False])
def test_every_protocol_is_read(protocol: int, is_numpy: bool, tmp_path: Path) -> None:
    content = {"latents": _PICTURES.numpy() if is_numpy else _PICTURES, "seed": 2**70, "b": b"1"}
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    assert torch.equal(ts.open_latents(path)[:], _PICTURES)


def test_numpy_before_version_2_named_its_functions_otherwise(tmp_path: Path) -> None:
    data = pickle.dumps(_PICTURES.numpy(), protocol=2)
    assert b"numpy._core" in data
    (tmp_path / "a.pkl").write_bytes(data.replace(b"numpy._core", b"numpy.core"))
    assert torch.equal(ts.open_latents(tmp_path / "a.pkl")[:], _PICTURES)


def test_an_npy_file_of_objects_is_a_pickle(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", {"latents": _PICTURES.numpy()}, allow_pickle=True)
    assert torch.equal(ts.open_latents(tmp_path / "a.npy")[:], _PICTURES)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.float64])
@pytest.mark.parametrize("save", SAVERS)
def test_every_dtype_is_read(dtype: torch.dtype, save, tmp_path: Path) -> None:
    made = opened({"latents": _PICTURES.to(dtype)}, tmp_path, save)
    assert made.dtype == dtype
    assert torch.equal(made.float(), _PICTURES.to(dtype).float())


@pytest.mark.parametrize("in_file", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        (_PICTURES, None),
        (_PICTURES,),
        [_PICTURES, [False, False]],
        ((_PICTURES, None),),
        [[_PICTURES[0]], [_PICTURES[1], _PICTURES[2]]],
        {"latents": [_PICTURES[:1], _PICTURES[1:]], "seed": 1},
        {"latents": (_PICTURES, None)},
        {"result": {"latents": _PICTURES}, "config": {"steps": 4}},
        [{"latents": _PICTURES[:2], "seed": 1}, {"latents": _PICTURES[2:], "seed": 2}],
        (_PICTURES, torch.tensor(999)),
        {"latents": _PICTURES, "prompt_embeds": _EMBEDS},
        {"z": _PICTURES, "prompt_embeds": _EMBEDS, "mask": torch.zeros(3, 1, 6, 8)},
        (_PICTURES, _EMBEDS),
        {"images": torch.zeros(3, 3, 48, 64), "z": _PICTURES, "t5": torch.zeros(1, 512, 4096)},
        {"latent_image": _PICTURES, "latent_conditioning_image": _PICTURES * 0},
        {"latent": _PICTURES, "first_frame_latent": _PICTURES[:1] * 0},
        ({"input_latents": _PICTURES, "latents": _PICTURES * 0}, {"context": _EMBEDS}, {}),
        collections.OrderedDict(latents=_PICTURES),
    ],
)
def test_wrappers(content: object, in_file: bool, tmp_path: Path) -> None:
    if in_file:
        torch.save(content, tmp_path / "a.pt")
        content = tmp_path / "a.pt"
    assert torch.equal(ts.open_latents(content)[:], _PICTURES)


@pytest.mark.parametrize(
    "noted",
    [pathlib.PurePosixPath("/a"), argparse.Namespace(n=1), types.SimpleNamespace(n=1), {1, 2}, 2j],
)
def test_what_programs_note_beside_latents_does_no_harm(noted: object, tmp_path: Path) -> None:
    for save in SAVERS:
        assert torch.equal(
            opened({"latents": _PICTURES, "noted": noted}, tmp_path, save), _PICTURES
        )


def test_the_models_channels_tell_which_is_meant() -> None:
    content = {"a": _PICTURES, "b": torch.zeros(3, 16, 6, 8)}
    assert torch.equal(ts.open_latents(content, channels=4)[:], _PICTURES)
    with pytest.raises(ts.LatentsError, match="--key"):
        ts.open_latents(content)
    assert torch.equal(ts.open_latents((content["b"], _EMBEDS), channels=16)[:], content["b"])


def test_parts_of_a_list_that_do_not_fit_are_not_left_out() -> None:
    for odd in (_PICTURES.int(), _PICTURES[..., :4], torch.zeros(3, 16, 6, 8)):
        with pytest.raises(ts.LatentsError):
            ts.open_latents([_PICTURES, odd, _PICTURES])


def test_kohyas_caches(tmp_path: Path) -> None:
    """library/strategy_base.py: one picture each, with or without its size in the keys."""
    picture = _PICTURES[0].numpy()
    for suffix in ("", "_6x8"):
        entries = {
            f"latents{suffix}": picture,
            f"original_size{suffix}": np.array([64, 48]),
            f"crop_ltrb{suffix}": np.array([0, 0, 64, 48]),
            f"latents_flipped{suffix}": picture[..., ::-1],
            f"alpha_mask{suffix}": np.ones((48, 64), np.float32),
        }
        np.savez(tmp_path / "a.npz", **entries)
        assert torch.equal(ts.open_latents(tmp_path / "a.npz")[0], _PICTURES[0])
    np.savez(tmp_path / "b.npz", **entries, latents_12x16=np.zeros((4, 12, 16), np.float32))
    with pytest.raises(ts.LatentsError, match="'latents_12x16': float32"):
        ts.open_latents(tmp_path / "b.npz")
    assert ts.open_latents(tmp_path / "b.npz", key="latents_6x8").height == 6


def test_musubis_caches(tmp_path: Path) -> None:
    """dataset/cache_io.py: sizes and dtypes in the keys, beside what conditions the video."""
    video = _VIDEO[0].bfloat16()
    entries = {
        "latents_5x6x8_bfloat16": video,
        "latents_image_5x6x8_bfloat16": torch.zeros(20, 5, 6, 8, dtype=torch.bfloat16),
        "latents_control_5x6x8_bfloat16": video * 0,
        "clip_bfloat16": torch.zeros(257, 1280),
    }
    save_file(entries, tmp_path / "a_wan.safetensors")
    with ts.open_latents(tmp_path / "a_wan.safetensors") as source:
        assert torch.equal(source[:], video.movedim(0, 1))
    picture = torch.zeros(32, 6, 8)
    save_file({"latents_6x8_float32": picture}, tmp_path / "a_f2k9b.safetensors")
    assert ts.open_latents(tmp_path / "a_f2k9b.safetensors").shape == (32, 6, 8)


class NestedTensor:
    """As comfy/nested_tensor.py has it."""

    is_nested = True

    def __init__(self, tensors: list[torch.Tensor]) -> None:
        self.tensors = tensors


NestedTensor.__module__ = "comfy.nested_tensor"
_SOUND = torch.zeros(1, 8, 126, 16)
_LTX = torch.linspace(-3, 3, 128 * 5 * 2 * 3).reshape(1, 128, 5, 2, 3)


@pytest.mark.parametrize(
    "content",
    [
        {"video": _LTX, "audio": _SOUND},
        {"samples": [_LTX, _SOUND]},
        {"samples": NestedTensor([_LTX, _SOUND])},
        [_LTX, _SOUND],
        (_LTX, torch.zeros(1, 126, 128)),
        {"audio_latents": torch.zeros(1, 128, 126), "video_latents": _LTX},
        {"frames": _LTX, "audio": _SOUND},
    ],
)
@pytest.mark.parametrize("in_file", [True, False])
def test_the_videos_part_of_latents_with_sound(
    content, in_file: bool, tmp_path: Path, monkeypatch, caplog: pytest.LogCaptureFixture
) -> None:
    if in_file:
        module = types.ModuleType("comfy.nested_tensor")
        module.NestedTensor = NestedTensor  # type: ignore[attr-defined]
        monkeypatch.setitem(__import__("sys").modules, "comfy", types.ModuleType("comfy"))
        monkeypatch.setitem(__import__("sys").modules, "comfy.nested_tensor", module)
        torch.save(content, tmp_path / "a.pt")
        content = tmp_path / "a.pt"
    with caplog.at_level(logging.INFO, "taesd_stream"), ts.open_latents(content) as source:
        assert torch.equal(source[:], _LTX[0].movedim(0, 1))
    (line,) = [record.getMessage() for record in caplog.records]
    assert "is read" in line or "are read" in line
    assert "8, 126, 16" in line or "126, 128" in line or "128, 126" in line


@pytest.mark.parametrize("cameras", [17, 128])
@pytest.mark.parametrize("in_file", [True, False])
def test_latents_that_come_twice_beside_cameras(
    cameras: int, in_file: bool, tmp_path: Path
) -> None:
    """Sana WM's pipeline returns (latents, camera matrices, latents)."""
    content = (_LTX, torch.zeros(cameras, 4, 4), _LTX)
    torch.save(content, tmp_path / "a.pt")
    with ts.open_latents(tmp_path / "a.pt" if in_file else content) as source:
        assert torch.equal(source[:], _LTX[0].movedim(0, 1))
    with ts.open_latents([_LTX, _LTX], channels=128) as source:
        assert len(source) == 10


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"config": {"steps": 4}, "prompt": "a hill"}, "'prompt': str"),
        ("text", "found str"),
        ([], "found none"),
        (None, "found None"),
    ],
)
def test_what_was_found_is_named(content: object, found: str, tmp_path: Path) -> None:
    for save in SAVERS:
        save(content, tmp_path / "a.pt")
        with pytest.raises(ts.LatentsError) as caught:
            ts.open_latents(tmp_path / "a.pt")
        message = str(caught.value)
        assert found in message
        assert message.isprintable()
        assert len(message) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("pattern", ["z/*.pt", "z/**/*.pt", "z/a_[0-9]*.pt", "z/a_1?.pt"])
def test_globs_are_read_in_natural_order(pattern: str, tmp_path: Path) -> None:
    folder = tmp_path / "z" / "deeper" if "**" in pattern else tmp_path / "z"
    folder.mkdir(parents=True)
    numbers = [10, 11] if "?" in pattern else [2, 10, 11]
    for number in numbers:
        torch.save(_PICTURES[:1] * number, folder / f"a_{number}.pt")
    (tmp_path / "z" / "notes.txt").write_text("no latents")
    with ts.open_latents(tmp_path / pattern) as source:
        assert torch.equal(source[:], torch.cat([_PICTURES[:1] * number for number in numbers]))


def test_a_glob_that_nothing_fits(tmp_path: Path) -> None:
    with pytest.raises(ts.LatentsError, match=r"\*\.pt.*found none"):
        ts.open_latents(tmp_path / "*.pt")


def test_latents_are_left_out_at_the_start_of_each_clip(tmp_path: Path) -> None:
    """CogVideoX 1.5 hands out (N, T, C, h, w) with padding first."""
    clips = torch.linspace(-3, 3, 2 * 6 * 16 * 2 * 3).reshape(2, 6, 16, 2, 3)
    torch.save(clips, tmp_path / "a.pt")
    options = {"layout": "NTCHW", "skip_latents": 2}
    with ts.open_latents(tmp_path / "a.pt", **options) as source:
        assert torch.equal(source[:], clips[:, 2:].flatten(0, 1))


def test_packed_latents_beside_what_was_asked_for() -> None:
    packed = torch.randn(1, 256, 64, generator=torch.Generator().manual_seed(0))
    content = {"img": packed, "txt": torch.zeros(1, 512, 4096), "img_ids": torch.zeros(1, 256, 3)}
    assert ts.open_latents(content, channels=16).shape == (1, 16, 1, 32, 32)


def test_what_is_left_out_among_several_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "taesd_stream"):
        assert len(ts.open_latents([_PICTURES[0], None, _PICTURES[1]])) == 2
    assert "latents[1]" in caplog.text


def test_the_command_line_skips_latents(tmp_path: Path) -> None:
    torch.save(_PICTURES, tmp_path / "whole.pt")
    torch.save(_PICTURES[1:], tmp_path / "rest.pt")
    for name, more in (("whole", ["--skip-latents", "1"]), ("rest", [])):
        source, made = (str(tmp_path / f"{name}{suffix}") for suffix in (".pt", ".npy"))
        assert (
            main(["decode", source, made, "--model", "latent2rgb", "--device", "cpu", *more]) == 0
        )
    skipped, rest = (np.load(tmp_path / f"{name}.npy") for name in ("whole", "rest"))
    assert np.array_equal(skipped, rest)
