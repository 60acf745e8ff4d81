"""Weights from the Hugging Face hub, through its own client and cache (extra ``hub``)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Final

from taesd_stream.errors import DownloadError, MissingExtraError, ModelNotFoundError
from taesd_stream.models.weights.pinned import PINNED
from taesd_stream.models.weights.stems import stems_of_variant
from taesd_stream.models.weights.weight_files import (
    DIFFUSERS_WEIGHTS,
    MAX_CHECKPOINT_BYTES,
    WEIGHT_SUFFIXES,
)
from video.errors import first_line

__all__ = ["fetch_from_hub", "is_hub_name"]

_HUB_NAME: Final = re.compile(r"[\w.-]+/[\w.-]+")
_CONFIG: Final = "config.json"


def is_hub_name(text: str) -> bool:
    """Whether ``text`` has the form "owner/name".

    >>> is_hub_name("madebyollin/taesd"), is_hub_name("taesd"), is_hub_name("a/b/c.pth")
    (True, False, False)
    """
    return _HUB_NAME.fullmatch(text) is not None


def fetch_from_hub(name: str, revision: str | None = None, *, variant: str | None = None) -> Path:
    """Download one model of a hub repository, and nothing twice, into the hub client's cache.

    Of its files only one form of the weights is taken: diffusers' (in the root or in ``vae``;
    safetensors before .bin, full before fp16), else loose files of the best suffix there is.
    Without a connection the cached copy is used. The full VAEs of the table of models are taken at
    the revision that is known here, and verified.

    Args:
        name: "owner/name".
        revision: a branch, tag or commit; if None the one that is known here, else the main branch.
        variant: the name of the model that is wanted where there are loose files of several.

    Returns:
        The folder of the snapshot, for `read_checkpoint`.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        ModelNotFoundError: no such repository or revision, no access to it, no weights in it, or
            neither a connection nor a cached copy.
        DownloadError: the repository answered, but its files could not be fetched, are too large or
            not those that were published.
    """
    pinned = PINNED.get(name) if revision is None else None
    if pinned is None:
        return _snapshot(name, revision, variant)
    try:
        folder = _snapshot(name, pinned.revision, variant)
    except ModelNotFoundError as error:
        raise ModelNotFoundError(
            f"{error}; the file is {pinned.path} at revision {pinned.revision}, with the"
            " config.json beside it"
        ) from error
    pinned.check(folder)
    return folder


def _snapshot(name: str, revision: str | None, variant: str | None) -> Path:
    """The folder with one model's files, downloaded unless it is in the hub client's cache."""
    if not is_hub_name(name):
        raise ModelNotFoundError(
            f"expected a hub repository as 'owner/name', found {name!r}; check the name"
        )
    hub = _import_hub()
    try:
        info = hub.HfApi().model_info(name, revision=revision, files_metadata=True)
    except Exception as error:
        _raise_if_refused(error, name, revision)
        # Being offline shows as errors of the client's HTTP library, which differs by release.
        return _cached_snapshot(name, revision, error, variant)
    sizes_bytes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    wanted = _choose_files(list(sizes_bytes), name, "its files", variant)
    _check_size(name, {path: sizes_bytes[path] for path in wanted})
    try:
        return Path(hub.snapshot_download(name, revision=revision, allow_patterns=wanted))
    except Exception as error:
        _raise_if_refused(error, name, revision)
        raise DownloadError(
            f"{name}: expected {', '.join(wanted)} from the hub, found {first_line(error)}; "
            "try again, the files that arrived are kept"
        ) from error


def _import_hub() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.utils
    except ImportError as error:
        raise MissingExtraError(
            "models from the hub need huggingface_hub, which is not installed; "
            "run: pip install 'taesd-stream[hub]'"
        ) from error
    return huggingface_hub


def _raise_if_refused(error: Exception, name: str, revision: str | None) -> None:
    """Say what was refused, if ``error`` is the hub's answer that a model cannot be had."""
    errors = _import_hub().utils
    if isinstance(error, errors.GatedRepoError):
        found = "one whose owner grants access; ask for it on its page and log in to the hub"
    elif isinstance(error, errors.RevisionNotFoundError):
        found = f"no branch, tag or commit {revision!r} in it; leave it out for the main branch"
    elif isinstance(error, errors.RepositoryNotFoundError):
        found = "none that is public or yours; check the name, or log in to the hub"
    else:
        return
    raise ModelNotFoundError(f"{name}: expected a hub repository, found {found}") from error


def _choose_files(paths: Sequence[str], name: str, where: str, variant: str | None) -> list[str]:
    """The files of one model among those of a repository, which are ``where`` in its message."""
    for weights in DIFFUSERS_WEIGHTS:
        if weights in paths:
            config = str(PurePosixPath(weights).with_name(_CONFIG))
            return [path for path in (config, weights) if path in paths]
    root = [path for path in paths if "/" not in path]
    if variant is not None:
        stems = set(stems_of_variant([PurePosixPath(path).stem for path in root], variant))
        root = [path for path in root if PurePosixPath(path).stem in stems] or root
    for suffix in WEIGHT_SUFFIXES:
        weights_there = sorted(path for path in root if PurePosixPath(path).suffix == suffix)
        if weights_there:
            return weights_there
    raise ModelNotFoundError(
        f"{name}: expected {DIFFUSERS_WEIGHTS[0]} or a file ending in "
        f"{', '.join(WEIGHT_SUFFIXES)} among {where}, found none; give another repository"
    )


def _check_size(name: str, sizes_bytes: Mapping[str, int]) -> None:
    total_bytes = sum(sizes_bytes.values())
    if total_bytes > MAX_CHECKPOINT_BYTES:
        raise DownloadError(
            f"{name}: expected an autoencoder of at most {MAX_CHECKPOINT_BYTES} bytes, "
            f"found {total_bytes} bytes in {', '.join(sizes_bytes)}; give another repository"
        )


def _cached_snapshot(
    name: str, revision: str | None, unreachable: Exception, variant: str | None
) -> Path:
    hub = _import_hub()
    try:
        # Asking for no more than the configuration also finds a snapshot of a part of the files.
        folder = Path(
            hub.snapshot_download(
                name, revision=revision, allow_patterns=[_CONFIG], local_files_only=True
            )
        )
    except (hub.utils.LocalEntryNotFoundError, ValueError) as error:
        raise ModelNotFoundError(
            f"{name}: expected a repository online or its cached copy, found neither "
            f"({first_line(unreachable)}); connect once, or give the path of a local checkpoint"
        ) from error
    present = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    _choose_files(present, name, f"its cached copy {folder}", variant)
    return folder
