"""The kinds of files of latents and of weights that are damaged, each with what opens it."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import taesd_stream as ts
from taesd_stream.cli.describe import describe_file
from taesd_stream.latents import save_latents
from taesd_stream.models.weights.packaged import packaged_weights
from tests.cases.fuzzing import KINDS, Kind, hostile_pickle, register

_LATENTS = torch.linspace(-1, 1, 3 * 4 * 5 * 6).reshape(3, 4, 5, 6)
_ARRAY = _LATENTS.numpy()


def _read_latents(path: Path) -> None:
    with ts.open_latents(path) as source:
        source[:]


def _load(path: Path) -> None:
    ts.load(path, device="cpu")


def _load_folder(path: Path) -> None:
    ts.load(path.parent, device="cpu")


def _latents(suffix: str, write: Callable[[Path], Any], *, is_refused: bool = False) -> Kind:
    def make(folder: Path) -> Path:
        write(folder / f"a{suffix}")
        return folder / f"a{suffix}"

    return Kind(make, _read_latents, is_refused)


def _torch(content: object, *, zipped: bool = True) -> Callable[[Path], Any]:
    return lambda path: torch.save(content, path, _use_new_zipfile_serialization=zipped)


def _pickled(content: object, protocol: int) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(pickle.dumps(content, protocol=protocol))


def _objects(path: Path) -> None:
    np.save(path, np.array({"latents": _ARRAY}), allow_pickle=True)


def _zarr(version: int, damaged: str) -> Kind:
    def make(folder: Path) -> Path:
        import zarr

        array = zarr.create_array(
            folder / "a.zarr",
            shape=_ARRAY.shape,
            chunks=(3, 4, 5, 6),
            dtype="f4",
            zarr_format=version,
            compressors=None,
        )
        array[:] = _ARRAY
        return folder / "a.zarr" / damaged

    return Kind(make, lambda path: _read_latents(_zarr_root(path)))


def _zarr_root(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.name == "a.zarr")


def _weights() -> dict[str, torch.Tensor]:
    return load_file(packaged_weights("nano"))


def _checkpoint(name: str, write: Callable[[Path], Any]) -> Kind:
    def make(folder: Path) -> Path:
        write(folder / name)
        return folder / name

    return Kind(make, _load)


def _with_config(folder: Path) -> Path:
    save_file(_weights(), folder / "diffusion_pytorch_model.safetensors")
    (folder / "config.json").write_text(json.dumps({"_class_name": "AutoencoderTiny"}))
    return folder / "config.json"


def _with_bomb(path: Path) -> None:
    path.write_bytes(hostile_pickle(path.parent))


def _in_list(path: Path) -> None:
    torch.save([_LATENTS[:1], _LATENTS[1:]], path)


register("torch", _latents(".pt", _torch({"latents": _LATENTS, "seed": 1})))
register("torch list", _latents(".pt", _in_list))
register("torch of numpy", _latents(".pt", _torch({"latents": _ARRAY})))
register("old torch", _latents(".pt", _torch({"latents": _LATENTS}, zipped=False)))
register("pickle 0", _latents(".pkl", _pickled({"latents": _ARRAY[:1, :, :2, :2]}, 0)))
register("pickle 2", _latents(".pkl", _pickled({"latents": _ARRAY}, 2)))
register("pickle 5", _latents(".pkl", _pickled({"latents": _ARRAY}, 5)))
register("pickle of torch", _latents(".pkl", _pickled((_LATENTS, None), 4)))
register("hostile pickle", _latents(".pkl", _with_bomb, is_refused=True))
register("npy", _latents(".npy", lambda path: np.save(path, _ARRAY)))
register("npy fortran", _latents(".npy", lambda path: np.save(path, np.asfortranarray(_ARRAY))))
register("npy of objects", _latents(".npy", _objects))
register("npz", _latents(".npz", lambda path: np.savez(path, latents=_ARRAY, step=3)))
register("npz packed", _latents(".npz", lambda path: np.savez_compressed(path, latents=_ARRAY)))
register("safetensors", _latents(".safetensors", lambda path: save_file({"z": _LATENTS}, path)))
register("latent", _latents(".latent", lambda path: save_file({"latent_tensor": _LATENTS}, path)))
register("latent png", _latents(".png", lambda path: save_latents(path, _LATENTS[0])))
register("zarr 2", _zarr(2, ".zarray"))
register("zarr 3", _zarr(3, "zarr.json"))
register("zarr 3 chunk", _zarr(3, "c/0/0/0/0"))
register("checkpoint", _checkpoint("nano_decoder.pth", lambda path: torch.save(_weights(), path)))
register(
    "old checkpoint",
    _checkpoint(
        "nano_decoder.pth",
        lambda path: torch.save(_weights(), path, _use_new_zipfile_serialization=False),
    ),
)
register(
    "checkpoint safetensors",
    _checkpoint(
        "nano_decoder.safetensors", lambda path: shutil.copy(packaged_weights("nano"), path)
    ),
)
register("hostile checkpoint", Kind(KINDS["hostile pickle"].make, _load, is_refused=True))
register("diffusers config", Kind(_with_config, _load_folder))
for _name in ("torch", "npz", "safetensors", "checkpoint safetensors"):
    register(f"info of {_name}", Kind(KINDS[_name].make, describe_file))
