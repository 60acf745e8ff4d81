"""Weights in several files, and the index that says which tensor is in which."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from taesd_stream.errors import CheckpointError
from taesd_stream.models.weights.weight_files import naming, require_size

__all__ = ["INDEX_SUFFIX", "index_of", "read_shards"]

INDEX_SUFFIX: Final = ".index.json"
"""How the name of an index ends, behind the name that the weights would have in one file."""

_SHARD: Final = re.compile(r"(.+)-[0-9]{5}-of-[0-9]{5}")
_INDEX_LIMIT_BYTES: Final = 16 * 2**20


def index_of(path: Path) -> Path | None:
    """The index that a path is, or that lies beside a shard; None if neither.

    >>> index_of(Path("model.safetensors.index.json")).name
    'model.safetensors.index.json'
    """
    if path.name.endswith(INDEX_SUFFIX):
        return path
    shard = _SHARD.fullmatch(path.stem)
    index = path.with_name(f"{shard[1]}{path.suffix}{INDEX_SUFFIX}") if shard else path
    return index if shard and index.is_file() else None


def read_shards(index: Path, read: Callable[[Path], Mapping[str, object]]) -> dict[str, object]:
    """Read all tensors that an index names.

    Args:
        index: A JSON object with a "weight_map" of names to files in its own folder.
        read: Reads one file.

    Raises:
        CheckpointError: It is no such index; a file is missing or holds not what it promises.
    """
    with naming(index):
        files = _weight_map(index)
        paths = {name: index.with_name(name) for name in sorted(set(files.values()))}
        missing = [name for name, path in paths.items() if not path.is_file()]
        if missing:
            raise CheckpointError(
                f"expected {len(paths)} files beside it, found no {', '.join(missing[:3])}; fetch"
                " what is missing"
            )
        total_bytes = sum(path.stat().st_size for path in paths.values())
        require_size(total_bytes, "give the tiny autoencoder's own files, not a whole pipeline's")
    contents = {name: read(path) for name, path in paths.items()}
    found: dict[str, object] = {}
    for key, name in files.items():
        if key not in contents[name]:
            raise CheckpointError(
                f"{index}: expected {key[:80]!r} in {name}, found it missing there; fetch the files"
                " again"
            )
        found[key] = contents[name][key]
    return found


def _weight_map(index: Path) -> dict[str, str]:
    size_bytes = index.stat().st_size
    if size_bytes > _INDEX_LIMIT_BYTES:
        raise CheckpointError(
            f"expected an index of at most {_INDEX_LIMIT_BYTES} bytes, found {size_bytes}; fetch it"
            " again"
        )
    try:
        files = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        named = {str(key): str(name) for key, name in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            'expected an index of sharded weights, a JSON object with a "weight_map", found'
            " another text; fetch it again"
        ) from error
    for name in named.values():
        if Path(name).name != name or name in ("", ".."):
            raise CheckpointError(
                f"expected names of files beside it, found {name[:80]!r}; fetch it again"
            )
    return named
