"""Checkpoints from wherever they lie: a file, its sibling, a folder, a state dict in memory.

All forms become one `Checkpoint`; which model it is, its shapes say, and not this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from taesd_stream.errors import CheckpointError
from taesd_stream.models.weights.diffusers_config import DIFFUSERS_CONFIG, read_config
from taesd_stream.models.weights.kl_names import pipeline_of
from taesd_stream.models.weights.sharded import INDEX_SUFFIX, index_of, read_shards
from taesd_stream.models.weights.state_dict import Halves, Role, split_state_dict
from taesd_stream.models.weights.stems import stems_of_variant, without_role
from taesd_stream.models.weights.weight_files import (
    DIFFUSERS_WEIGHTS,
    WEIGHT_SUFFIXES,
    read_weight_file,
)

__all__ = ["Checkpoint", "read_checkpoint"]

_DIFFUSERS_STEM: Final = "diffusion_pytorch_model"
_DIFFUSERS_SUBFOLDER: Final = "vae"
_LISTED_FILES: Final = 5
_OTHER_ROLE: Final[Mapping[Role, Role]] = {"encoder": "decoder", "decoder": "encoder"}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """An autoencoder's weights, under the official names: TAESD's and its kin's are numbers.

    Attributes:
        encoder: names such as ``"0.weight"`` to CPU tensors in their stored dtype; None if absent.
        decoder: the same, such as ``"1.weight"``; None if absent. At least one of the two is there.
        origin: where the weights came from, for messages.
        stem_hint: the file's stem, or the folder's name where files have none of their own. A hint,
            for variants that share every shape; None for a state dict in memory.
        config: What diffusers' config.json says; empty without one.
        pipeline: The full VAE's name, where the rest of a pipeline beside it tells; else None.
    """

    encoder: dict[str, Tensor] | None
    decoder: dict[str, Tensor] | None
    origin: str
    stem_hint: str | None
    config: Mapping[str, Any] = field(default_factory=dict)
    pipeline: str | None = None


def read_checkpoint(
    source: str | Path | Mapping[str, Tensor],
    variant: str | None = None,
    *,
    config: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Read weights of a TAESD-family autoencoder, or of a full VAE.

    Args:
        source: a .safetensors, .pth, .pt or .bin file, with the sibling that has "encoder" for
            "decoder" in its name (or the reverse) read along, and the other shards of one; the
            index of shards; a folder of such files, or of diffusers' AutoencoderTiny or
            AutoencoderKL, or one whose ``vae`` folder is that; or a state dict.
        variant: The name of the model that is wanted of a folder that holds several, such as
            ComfyUI's ``vae_approx``.
        config: What a config.json would say of a state dict.

    Raises:
        CheckpointError: nothing there, or nothing that is whole, safe, finite and of this family.

    >>> import torch
    >>> weights = {"1.weight": torch.zeros(64, 4, 3, 3), "19.weight": torch.zeros(3, 64, 3, 3)}
    >>> checkpoint = read_checkpoint(weights)
    >>> checkpoint.encoder is None, sorted(checkpoint.decoder or {}), checkpoint.origin
    (True, ['1.weight', '19.weight'], 'the given state dict')
    """
    if isinstance(source, Mapping):
        origin = "the given state dict"
        halves = split_state_dict(source, origin)
        return Checkpoint(
            *(halves.get("encoder"), halves.get("decoder"), origin, None),
            config=config or {},
            pipeline=pipeline_of(source),
        )
    path = Path(source)
    try:
        is_folder = path.is_dir()
        return _read_folder(path, variant) if is_folder else _read_file(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); check the path") from error


def _read_file(path: Path) -> Checkpoint:
    is_diffusers = path.stem.startswith(_DIFFUSERS_STEM)
    config = read_config(path.parent / DIFFUSERS_CONFIG) if is_diffusers else {}
    index = index_of(path)
    origin = str(index or path)
    weights = read_shards(index, read_weight_file) if index else read_weight_file(path)
    halves = split_state_dict(weights, origin)
    if len(halves) == 1:
        (role,) = halves
        sibling = _find_sibling(path, role)
        if sibling is not None:
            halves |= _read_sibling(sibling, _OTHER_ROLE[role])
            origin = f"{path} and {sibling.name}"
    hint = _folder_hint(path.parent) if is_diffusers else path.stem
    return Checkpoint(
        halves.get("encoder"), halves.get("decoder"), origin, hint, config, pipeline_of(weights)
    )


def _find_sibling(path: Path, role: Role) -> Path | None:
    before, found, after = path.stem.rpartition(role)
    if not found:
        return None
    stem = f"{before}{_OTHER_ROLE[role]}{after}"
    candidates = (path.with_name(stem + suffix) for suffix in (path.suffix, *WEIGHT_SUFFIXES))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _read_sibling(sibling: Path, role: Role) -> Halves:
    halves = split_state_dict(read_weight_file(sibling), str(sibling))
    if role not in halves:
        raise CheckpointError(
            f"{sibling}: expected the {role} that its name promises, found only the "
            f"{_OTHER_ROLE[role]}; rename it or move it away"
        )
    return {role: halves[role]}


def _read_folder(folder: Path, variant: str | None) -> Checkpoint:
    shards = (f"{weights}{INDEX_SUFFIX}" for weights in DIFFUSERS_WEIGHTS)
    known = (folder / name for name in (*DIFFUSERS_WEIGHTS, *shards))
    in_diffusers = next((path for path in known if path.is_file()), None)
    return _read_file(in_diffusers or _model_in(folder, variant))


def _model_in(folder: Path, variant: str | None) -> Path:
    """The file to read in a folder of loose files: one model's decoder, or its only file."""
    files: dict[str, Path] = {}
    for suffix in reversed(WEIGHT_SUFFIXES):
        found = (path for path in folder.glob(f"*{suffix}") if path.is_file())
        # Shards are one model, whose file is their index.
        paths = {index_of(path) or path for path in found if not path.name.startswith(".")}
        files |= {path.name.removesuffix(INDEX_SUFFIX).removesuffix(suffix): path for path in paths}
    if not files:
        raise CheckpointError(
            f"{folder}: expected {DIFFUSERS_WEIGHTS[0]} or a file ending in "
            f"{', '.join(WEIGHT_SUFFIXES)}, found none; give the folder that holds the weights"
        )
    models = {without_role(stem) for stem in files}
    if len(models) > 1:
        stems = stems_of_variant(files, variant) if variant else []
        if len({without_role(stem) for stem in stems}) != 1:
            raise _several(folder, [path.name for path in files.values()], variant)
        files = {stem: files[stem] for stem in stems}
    # "decoder" sorts before "encoder", which is then found as its sibling.
    return files[min(files)]


def _several(folder: Path, names: list[str], variant: str | None) -> CheckpointError:
    names.sort()
    listed = ", ".join(names[:_LISTED_FILES]) + (", ..." if names[_LISTED_FILES:] else "")
    what = "one model" if variant is None else f"files of one model named {variant}"
    error = CheckpointError(
        f"{folder}: expected {what}, found {len(names)} files ({listed}); give one of the files, or"
        " say which model with --variant (variant= in Python)"
    )
    return error.with_details(*names)


def _folder_hint(folder: Path) -> str | None:
    home = folder.absolute()
    if home.name == _DIFFUSERS_SUBFOLDER:
        home = home.parent
    return home.name or None
