"""The official checkpoints: where each is published, and a verified cache of those downloaded."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import logging
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import platformdirs

from taesd_stream.errors import ModelNotFoundError
from taesd_stream.models.weights.download import UnreachableError, download

__all__ = [
    "CACHE_VARIABLE",
    "DEFAULT_BASE_URL",
    "MIRROR_VARIABLE",
    "OfficialFile",
    "OfficialRole",
    "cache_folder",
    "cached",
    "fetch",
    "git_blob_id",
    "official_files",
    "official_names",
]

OfficialRole: TypeAlias = Literal["encoder", "decoder", "both"]

CACHE_VARIABLE: Final = "TAESD_STREAM_CACHE"
MIRROR_VARIABLE: Final = "TAESD_STREAM_MIRROR"
DEFAULT_BASE_URL: Final = "https://raw.githubusercontent.com"

_LOGGER: Final = logging.getLogger("taesd_stream")
_READ_BYTES: Final = 2**20
# What comes with the package and shows a variant's latents tolerably.
_OFFLINE_CHOICES: Final[Mapping[str, str]] = {
    "taesd": "nano",
    "taesdv": "nano",
    "taesd3": "latent2rgb_sd3",
    "taef1": "latent2rgb_flux1",
}


@dataclass(frozen=True)
class OfficialFile:
    """One published file: ``path`` in a repository at a commit, with the git blob id it has."""

    variant: str
    role: OfficialRole
    repository: str
    commit: str
    path: str
    git_blob: str

    def url(self, base: str = DEFAULT_BASE_URL) -> str:
        """The file's address below ``base``, which has the layout of GitHub's raw files.

        >>> official_files("taesdv")[0].url("http://mirror.example/")
        'http://mirror.example/madebyollin/taesdv/1b2655e57693c2bf2bd016451f86f5cbf5aa5169/taesdv.pth'
        """
        relative = urllib.parse.quote(f"{self.repository}/{self.commit}/{self.path}")
        return f"{base.rstrip('/')}/{relative}"

    def cache_path(self) -> Path:
        """Where the file lies once downloaded: cache folder / repository / commit / path."""
        return cache_folder().joinpath(self.repository, self.commit, self.path)

    def problem_with(self, path: Path) -> str | None:
        """None if ``path`` has this file's content, else what was expected and what was found."""
        found = git_blob_id(path)
        if found == self.git_blob:
            return None
        return f"expected git blob id {self.git_blob}, found {found}"


def official_names() -> tuple[str, ...]:
    """The variants with official files, in the table's order.

    >>> official_names()[:3]
    ('taesd', 'taesdxl', 'taesd3')
    """
    return tuple(_table())


def official_files(name: str) -> tuple[OfficialFile, ...]:
    """The files of one variant: encoder and decoder, in this order, or one file of both.

    Raises:
        ModelNotFoundError: no variant has that name; the message suggests others.

    >>> [file.path for file in official_files("taesd")]
    ['taesd_encoder.pth', 'taesd_decoder.pth']
    """
    try:
        return _table()[name]
    except KeyError:
        close = difflib.get_close_matches(name, official_names(), n=3) or official_names()
        raise ModelNotFoundError(
            f"expected the name of an official model, found {name!r}; try {', '.join(close)}"
        ) from None


def git_blob_id(path: Path) -> str:
    r"""The id that git gives to a file's content: sha1 of ``blob <size>\0`` and the content.

    The file is read in pieces. Raises OSError if it cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "hello")
    ...     _ = file.write_bytes(b"hello\n")
    ...     git_blob_id(file)
    'ce013625030ba8dba906f756967f9e9ca394464a'
    """
    with path.open("rb") as stream:
        size_bytes = os.fstat(stream.fileno()).st_size
        # Git chose sha1; some builds of Python refuse it unless told that no secret rests on it.
        digest = hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
        while block := stream.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def cache_folder() -> Path:
    """The folder of downloaded weights: $TAESD_STREAM_CACHE, or the user's cache folder."""
    override = os.environ.get(CACHE_VARIABLE)
    if override:
        return Path(override).expanduser()
    return platformdirs.user_cache_path("taesd-stream")


def cached(name: str) -> list[Path] | None:
    """The cached files of a variant, ordered as `official_files`; None unless all are there, whole.

    Raises:
        ModelNotFoundError: no variant has that name.
    """
    files = official_files(name)
    paths = [file.cache_path() for file in files]
    found = zip(files, paths, strict=True)
    whole = all(path.is_file() and file.problem_with(path) is None for file, path in found)
    return paths if whole else None


def fetch(name: str, *, base_url: str | None = None, progress: bool | None = None) -> list[Path]:
    """The files of a variant, ordered as `official_files`, downloaded where the cache lacks them.

    The last one is the decoder, or the file of both, beside which `read_checkpoint` finds the rest.

    Args:
        name: one of `official_names`.
        base_url: where to download from; $TAESD_STREAM_MIRROR, or GitHub, if None.
        progress: show bars on standard error; None means if that is a terminal.

    Raises:
        ModelNotFoundError: no variant has that name, or it is not cached and the server cannot be
            reached; the message says what else can be done.
        DownloadError: the server was reached, but the file did not arrive as it was published.
    """
    base = base_url or os.environ.get(MIRROR_VARIABLE) or DEFAULT_BASE_URL
    return [_fetch_file(file, base, progress) for file in official_files(name)]


def _fetch_file(file: OfficialFile, base: str, progress: bool | None) -> Path:
    path = file.cache_path()
    if path.exists():
        problem = file.problem_with(path)
        if problem is None:
            return path
        _LOGGER.warning("%s: cached file no longer verifies (%s), fetching it again", path, problem)
    try:
        download(file.url(base), path, verify=file.problem_with, progress=progress)
    except UnreachableError as error:
        raise ModelNotFoundError(_offline_message(file.variant)).with_details(str(error)) from error
    return path


def _offline_message(name: str) -> str:
    files = official_files(name)
    names = " and ".join(Path(file.path).name for file in files)
    choice = _OFFLINE_CHOICES.get(name)
    offline = f"; without a network, the model {choice} comes with the package"
    return (
        f"expected the weights of {name!r} in {cache_folder()} or online, found neither: get"
        f" {names} from {files[0].repository}, or a diffusers folder, and give the local path with"
        " --model (model= in Python)"
        f"{offline if choice else ''}"
    )


@functools.cache
def _table() -> Mapping[str, tuple[OfficialFile, ...]]:
    text = resources.files(__package__).joinpath("official.json").read_text(encoding="utf-8")
    roles: tuple[OfficialRole, ...] = get_args(OfficialRole)
    return {
        variant: tuple(
            OfficialFile(
                variant, role, entry["repository"], entry["commit"], **entry["files"][role]
            )
            for role in roles
            if role in entry["files"]
        )
        for variant, entry in json.loads(text).items()
        if not variant.startswith("_")
    }
