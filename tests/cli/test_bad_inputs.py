"""Inputs that are broken, foreign or hostile: one line, status 2, nothing left, nothing run."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from taesd_stream.latents import save_latents


class _RunsCode:
    """Unpickling it creates a file."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> object:
        return open, (str(self._canary), "w")


def _torch_zip(path: Path) -> bytes:
    torch.save(torch.zeros(5, 4, 6, 8), path)
    return path.read_bytes()


def _truncated_torch(path: Path) -> None:
    path.write_bytes(_torch_zip(path)[:-700])


def _hostile_torch(path: Path) -> None:
    torch.save({"latents": _RunsCode(path.parent / "canary")}, path)


def _hostile_old_torch(path: Path) -> None:
    torch.save(_RunsCode(path.parent / "canary"), path, _use_new_zipfile_serialization=False)


def _hostile_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(_RunsCode(path.parent / "canary")))


def _hostile_npy(path: Path) -> None:
    np.save(path, np.array([_RunsCode(path.parent / "canary")], dtype=object), allow_pickle=True)


def _hostile_npz(path: Path) -> None:
    array = np.array([_RunsCode(path.parent / "canary")], dtype=object)
    np.savez(path, latents=array, allow_pickle=True)


def _safetensors_header(path: Path, header: bytes, length: int | None = None) -> None:
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header)


def _oversized_safetensors(path: Path) -> None:
    entry = b'{"latents":{"dtype":"F32","shape":[99999999,4,512,512],"data_offsets":[0,%d]}}'
    _safetensors_header(path, entry % (99999999 * 4 * 512 * 512 * 4))


def _oversized_npy(path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": (99999999, 4, 512, 512)}
    )
    path.write_bytes(buffer.getvalue())


def _truncated_npy(path: Path) -> None:
    np.save(path, np.zeros((5, 4, 6, 8), np.float32))
    path.write_bytes(path.read_bytes()[:-100])


def _truncated_png(path: Path) -> None:
    save_latents(path, torch.randn(4, 64, 64))
    path.write_bytes(path.read_bytes()[:100])


def _photograph(path: Path) -> None:
    cv2.imwrite(str(path), np.zeros((16, 16, 3), np.uint8))


def _tensor(shape: tuple[int, ...], dtype: torch.dtype) -> Callable[[Path], None]:
    return lambda path: torch.save(torch.zeros(shape, dtype=dtype), path)


BAD = {
    "empty.pt": (lambda path: path.write_bytes(b""), "empty.pt"),
    "empty.npy": (lambda path: path.write_bytes(b""), "empty.npy"),
    "text.pt": (lambda path: path.write_text("not latents"), "text.pt"),
    "truncated.pt": (_truncated_torch, "truncated.pt"),
    "hostile.pt": (_hostile_torch, "never run"),
    "hostile_old.pt": (_hostile_old_torch, "never run"),
    "hostile_pickle.pt": (_hostile_pickle, "hostile_pickle.pt"),
    "hostile.npy": (_hostile_npy, "never run"),
    "hostile.npz": (_hostile_npz, "hostile.npz"),
    "oversized.safetensors": (_oversized_safetensors, "oversized.safetensors"),
    "header.safetensors": (lambda path: _safetensors_header(path, b"{", 1 << 60), "header"),
    "nonsense.safetensors": (lambda path: _safetensors_header(path, b"{nonsense}"), "nonsense"),
    "oversized.npy": (_oversized_npy, "oversized.npy"),
    "truncated.npy": (_truncated_npy, "truncated.npy"),
    "truncated.png": (_truncated_png, "truncated.png"),
    "photograph.png": (_photograph, "RGBA"),
    "video.mp4": (lambda path: path.write_bytes(b"\0\0\0\x1cftypisom" + bytes(64)), "MP4"),
    "folder": (lambda path: path.mkdir(), "folder"),
    "missing.pt": (lambda path: None, "missing.pt"),
    "channels.pt": (_tensor((5, 7, 6, 8), torch.float32), "(5, 7, 6, 8)"),
    "axes.pt": (_tensor((6, 8), torch.float32), "(6, 8)"),
    "none.pt": (_tensor((0, 4, 6, 8), torch.float32), "(0, 4, 6, 8)"),
    "integers.pt": (_tensor((5, 4, 6, 8), torch.int64), "int64"),
    "words.pt": (lambda path: torch.save({"prompt": "a cat"}, path), "prompt"),
}


@pytest.mark.parametrize("name", BAD)
def test_decode_refuses(command, tmp_path: Path, name: str) -> None:
    make, said = BAD[name]
    make(tmp_path / name)
    outcome = command("decode", name, "out.mp4", "--model", "latent2rgb")
    assert outcome.status == 2
    assert said in outcome.complaint
    assert name in outcome.complaint
    assert {path.name for path in tmp_path.iterdir()} <= {name}, "no output, and no code was run"


@pytest.mark.parametrize("name", [name for name in BAD if "hostile" in name or "." not in name])
@pytest.mark.parametrize("words", [["info"], ["plan"], ["plan", "sane.pt", "--model"]])
def test_other_commands_refuse_too(command, tmp_path: Path, name: str, words: list[str]) -> None:
    torch.save(torch.zeros(5, 4, 6, 8), tmp_path / "sane.pt")
    make, _ = BAD[name]
    make(tmp_path / name)
    outcome = command(*words, name)
    assert outcome.status == 2
    assert name in outcome.complaint
    assert {path.name for path in tmp_path.iterdir()} <= {name, "sane.pt"}


def test_the_hostile_files_would_run_code(tmp_path: Path) -> None:
    _hostile_torch(tmp_path / "hostile.pt")
    with torch.load(tmp_path / "hostile.pt", weights_only=False)["latents"]:
        pass
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("words", [("a.mp4",), ("a.npy",), ("-",), ("a.mp4", "--frames", "5:9")])
def test_what_is_not_finite_is_named_by_its_number_in_the_file(
    command, clip: torch.Tensor, value: float, words: tuple[str, ...]
) -> None:
    clip[7, 2, 1, 3] = value
    np.save("z.npy", clip.numpy())
    outcome = command("decode", "z.npy", *words, "--model", "latent2rgb")
    assert outcome.status == 2
    assert "Traceback" not in outcome.err
    assert f"found {value} in latent 7 at (channel, row, column) (2, 1, 3)" in outcome.err
    assert [path.name for path in Path().iterdir()] == ["z.npy"]


def test_finished_pictures_before_a_bad_latent_stay_and_are_named(
    command, clip: torch.Tensor, tmp_path: Path
) -> None:
    clip[3] = float("nan")
    torch.save(clip, tmp_path / "z.pt")
    outcome = command("decode", "z.pt", "p_%03d.png", "--model", "latent2rgb")
    assert outcome.status == 2
    assert outcome.complaint.endswith("3 finished pictures are kept, p_000.png to p_002.png")
    assert len(list(tmp_path.glob("p_*"))) == 3


def test_a_plan_reads_no_numbers(command, clip: torch.Tensor, tmp_path: Path) -> None:
    torch.save(torch.full_like(clip, float("nan")), tmp_path / "z.pt")
    assert command("plan", "z.pt", "--model", "latent2rgb").status == 0


@pytest.mark.parametrize("name", ["encode", "decode"])
def test_weights_that_are_nowhere(
    command, clip_file: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def no_network(*_: object, **__: object) -> None:
        raise socket.gaierror("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    cv2.imwrite("a.png", np.zeros((16, 16, 3), np.uint8))
    source = clip_file if name == "decode" else "a.png"
    out = "out.mp4" if name == "decode" else "out.npy"
    outcome = command(name, source, out)
    assert outcome.status == 2
    for alternative in ("--model", "nano", "taesd_decoder.pth"):
        assert alternative in outcome.complaint
    assert not Path(out).exists()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nothing.pth", "nothing.pth"),
        ("taesd9", "'taesd9'"),
        ("clip.pt", "clip.pt"),
        ("latent2rgb_sd3", "16"),
    ],
)
def test_models_that_are_none_or_do_not_fit(
    command, clip_file: Path, model: str, said: str
) -> None:
    outcome = command("decode", clip_file, "out.mp4", "--model", model)
    assert outcome.status == 2
    assert said in outcome.complaint
    assert not Path("out.mp4").exists()


def test_latents_that_several_models_fit(command) -> None:
    torch.save(torch.zeros(2, 16, 6, 8), "z.pt")
    outcome = command("decode", "z.pt", "out.mp4")
    assert outcome.status == 2
    assert "taesd3 (Stable Diffusion 3) or taef1 (FLUX.1)" in outcome.complaint
