"""Latents saved in every format, for tests that compare what is read from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

FRAMES = {
    "C H W": "C H W -> 1 C H W",
    "T C H W": "T C H W -> T C H W",
    "N C H W": "N C H W -> N C H W",
    "C T H W": "C T H W -> T C H W",
    "N C T H W": "N C T H W -> (N T) C H W",
    "N T C H W": "N T C H W -> (N T) C H W",
}


def save_npy(array: torch.Tensor, folder: Path) -> Path:
    np.save(folder / "a.npy", array.numpy())
    return folder / "a.npy"


def save_fortran(array: torch.Tensor, folder: Path) -> Path:
    np.save(folder / "f.npy", np.asfortranarray(array.numpy()))
    return folder / "f.npy"


def save_big_endian(array: torch.Tensor, folder: Path) -> Path:
    numbers = array.numpy()
    np.save(folder / "b.npy", numbers.astype(numbers.dtype.newbyteorder(">")))
    return folder / "b.npy"


def save_npz(array: torch.Tensor, folder: Path) -> Path:
    np.savez(folder / "a.npz", step=np.arange(3), latents=array.numpy())
    return folder / "a.npz"


def save_compressed(array: torch.Tensor, folder: Path) -> Path:
    np.savez_compressed(folder / "c.npz", latents=array.numpy(), step=np.arange(3))
    return folder / "c.npz"


def save_torch(array: torch.Tensor, folder: Path) -> Path:
    torch.save({"step": 3, "samples": array}, folder / "a.pt")
    return folder / "a.pt"


def save_torch_view(array: torch.Tensor, folder: Path) -> Path:
    """Not contiguous, and not at the start of what was saved."""
    padded = torch.cat([torch.ones_like(array[:1]), array]).transpose(-1, -2).contiguous()
    torch.save(padded.transpose(-1, -2)[1:], folder / "v.pth")
    return folder / "v.pth"


def save_legacy(array: torch.Tensor, folder: Path) -> Path:
    torch.save(array, folder / "l.pt", _use_new_zipfile_serialization=False)
    return folder / "l.pt"


def save_safetensors(array: torch.Tensor, folder: Path) -> Path:
    save_file({"a": torch.arange(7), "latent_tensor": array}, folder / "a.latent")
    return folder / "a.latent"


NUMPY_FORMATS = [save_npy, save_fortran, save_big_endian, save_npz, save_compressed]
TORCH_FORMATS = [save_torch, save_torch_view, save_legacy, save_safetensors]
