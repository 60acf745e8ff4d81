"""What the page for browsers reads of files that NumPy, safetensors and PyTorch write."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="no Node.js: the page's own readers need it")

T, C, H, W = 3, 4, 2, 5
MARKER = {"latent_format_version_0": torch.tensor([])}


def read(*paths: Path) -> list[dict[str, Any]]:
    """What the page makes of files: frames, height, width and numbers, or an error."""
    assert NODE is not None
    script = Path(__file__).with_name("read_latents.mjs")
    done = subprocess.run([NODE, script, *paths], capture_output=True, check=True, text=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def latents(dtype: torch.dtype = torch.float32) -> Tensor:
    """(T, C, H, W), with numbers that are subnormal in float16, and zeros of both signs."""
    numbers = torch.randn(T, C, H, W, generator=torch.Generator().manual_seed(0))
    numbers[0, 0, 0] = torch.tensor([6e-8, -3e-5, 6e-5, 0.0, -0.0])
    return numbers.to(dtype)


def numpys(array: Any) -> Callable[[Path], None]:
    return lambda path: np.save(path.with_suffix(".npy"), array)


def safetensors(tensors: dict[str, Tensor], **said: str) -> Callable[[Path], None]:
    return lambda path: save_file(tensors, path, metadata=said or None)


def torchs(content: object) -> Callable[[Path], None]:
    return lambda path: torch.save(content, path)


def content(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


def cut(path: Path) -> None:
    torch.save(latents(), path)
    path.write_bytes(path.read_bytes()[:-1])


GOOD: dict[str, tuple[Callable[[Path], None], Tensor, str | None]] = {
    "f64.npy": (numpys(latents(torch.float64).numpy()), latents(), None),
    "f32.npy": (numpys(latents().numpy()), latents(), None),
    "f16.npy": (numpys(latents(torch.float16).numpy()), latents(torch.float16), None),
    "columns.npy": (numpys(np.asfortranarray(latents().numpy())), latents(), None),
    "one.npy": (numpys(latents()[0].numpy()), latents()[:1], None),
    "ncthw.npy": (numpys(latents().movedim(1, 0)[None].numpy()), latents(), None),
    "ntchw.npy": (numpys(latents()[None].numpy()), latents(), None),
    "bf16.safetensors": (
        safetensors({"latents": latents(torch.bfloat16)}, convention="vae"),
        latents(torch.bfloat16),
        "vae",
    ),
    "z.safetensors": (
        safetensors({"step": torch.zeros(2), "z": latents(torch.float64)}, convention="mine"),
        latents(),
        None,
    ),
    "comfy.latent": (safetensors({"latent_tensor": latents(), **MARKER}), latents(), "vae"),
    "older.latent": (safetensors({"latent_tensor": latents()}), latents(), "model"),
    "f32.pt": (torchs(latents()), latents(), None),
    "view.pt": (torchs(torch.cat([latents(), latents()])[T:].mT.contiguous().mT), latents(), None),
    "list.pt": (torchs([latents(torch.bfloat16)]), latents(torch.bfloat16), None),
    "dict.pt": (
        torchs({"latents": latents(torch.float16), "fps": 24.0, "names": ["a", None, True]}),
        latents(torch.float16),
        None,
    ),
}


def test_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    for name, (write, _, _) in GOOD.items():
        write(tmp_path / name)
    found = read(*(tmp_path / name for name in GOOD))
    for (name, (_, expected, convention)), got in zip(GOOD.items(), found, strict=True):
        assert "error" not in got, f"{name}: {got}"
        assert (got["frames"], got["height"], got["width"]) == (len(expected), H, W), name
        assert got.get("convention") == convention, name
        numbers = torch.tensor(got["numbers"], dtype=torch.float64).reshape(expected.shape)
        assert torch.equal(numbers, expected.double()), name


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (content(b""), "another kind of file"),
    "picture.png": (content(b"\x89PNG\r\n" * 9), "another kind"),
    "ints.npy": (numpys(np.zeros((4, 2, 2), np.int32)), "found <i4: convert them to float32"),
    "swapped.npy": (numpys(np.zeros((4, 2, 2), ">f4")), "found >f4"),
    "header.npy": (
        content(b"\x93NUMPY\x01\x00\x08\x00{'descr'"),
        "found a broken one",
    ),
    "flux.npy": (numpys(np.zeros((1, 16, 2, 2))), "of 4 channels, as Stable Diffusion 1 and 2"),
    "either.npy": (numpys(np.zeros((1, 4, 4, 2, 2))), "either axis may be time"),
    "flat.npy": (numpys(np.zeros((4, 0, 2))), "found an array of shape (4, 0, 2)"),
    "nan.npy": (
        numpys(np.where(np.arange(32).reshape(2, 4, 2, 2) == 21, np.nan, 0)),
        "found NaN in latent 1 at (channel, row, column) (1, 0, 1)",
    ),
    "two.safetensors": (
        safetensors({"a": latents(), "b": latents()}),
        "found 'a': float32 (3, 4, 2, 5), 'b': float32 (3, 4, 2, 5)",
    ),
    "none.safetensors": (safetensors({}), "found no arrays"),
    "f8.safetensors": (
        safetensors({"latents": latents().to(torch.float8_e4m3fn)}),
        "found F8_E4M3: convert",
    ),
    "huge.safetensors": (
        content((2**40).to_bytes(8, "little") + b"{}"),
        "found a broken one",
    ),
    "claims.safetensors": (
        content(
            (75).to_bytes(8, "little")
            + b'{"latents":{"dtype":"F32","shape":[4,9999,9999],"data_offsets":[0,9]}}'.ljust(75)
        ),
        "expected 1599680016 bytes",
    ),
    "ints.pt": (torchs(torch.zeros(4, 2, 2, dtype=torch.int64)), "found torch.LongStorage"),
    "lists.pt": (torchs([latents(), latents()]), "found something else"),
    "runs.pt": (torchs({"latents": Path("x")}), "found no arrays"),
    "weights.pt": (torchs({f"{i}.weight": latents() for i in range(6)}), " and 2 more"),
    "cut.pt": (cut, "found a broken"),
}


def test_bad_files_are_refused_in_one_line(tmp_path: Path) -> None:
    for name, (write, _) in BAD.items():
        write(tmp_path / name)
    for (name, (_, line)), got in zip(
        BAD.items(), read(*(tmp_path / name for name in BAD)), strict=True
    ):
        assert got.get("error", "").startswith("InputError: expected "), f"{name}: {got}"
        assert line in got["error"], name
        assert "\n" not in got["error"], name


def test_nothing_of_a_pickle_is_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"

    class Call:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (trap,))

    torch.save({"latents": Call()}, tmp_path / "trap.pt")
    (got,) = read(tmp_path / "trap.pt")
    assert "found no arrays" in got["error"]
    assert not trap.exists()
