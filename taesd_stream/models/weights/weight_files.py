"""One file of weights, opened without trusting it: no code runs and no stated size is believed."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open

from taesd_stream.errors import CheckpointError
from taesd_stream.models.weights.foreign_files import (
    HEAD_BYTES,
    LATENTS_INSTEAD,
    foreign_archive,
    foreign_file,
)
from taesd_stream.models.weights.kl_names import are_kl_names
from video.errors import first_line

__all__ = [
    "DIFFUSERS_WEIGHTS",
    "MAX_CHECKPOINT_BYTES",
    "MAX_CONSISTENCY_BYTES",
    "WEIGHT_SUFFIXES",
    "naming",
    "read_weight_file",
    "require_size",
]

MAX_CHECKPOINT_BYTES: Final = 2 * 2**30
"""No model of this family has more than a few hundred MiB of weights; larger files are refused."""

MAX_CONSISTENCY_BYTES: Final = 2 * MAX_CHECKPOINT_BYTES
"""Of a ConsistencyDecoderVAE, whose 2.3 GiB in float32 are the most that there is."""

WEIGHT_SUFFIXES: Final = (".safetensors", ".pth", ".pt", ".bin")
"""Suffixes of files that may hold weights, the preferred one first."""

DIFFUSERS_WEIGHTS: Final = tuple(
    f"{home}diffusion_pytorch_model{suffix}"
    for home in ("", "vae/")
    for suffix in (".safetensors", ".fp16.safetensors", ".bin", ".fp16.bin")
)
"""Where the weights may be in a diffusers folder, the preferred place and form first."""

_NOT_A_PIPELINE: Final = "give the autoencoder's own file, not a whole pipeline's"
_ZIP_MAGIC: Final = b"PK\x03\x04"
# The pickled number that torch.save wrote first before PyTorch 1.6.
_LEGACY_MAGIC: Final = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


@contextmanager
def naming(origin: str | Path) -> Iterator[None]:
    """Put ``origin`` before what a CheckpointError out of the block says."""
    try:
        yield
    except CheckpointError as error:
        named = CheckpointError(f"{origin}: {error}").with_details(*error.details)
        raise named from error.__cause__


def require_size(
    size_bytes: int, remedy: str, *, found: str = "", most_bytes: int = MAX_CHECKPOINT_BYTES
) -> None:
    """Refuse more weights than any model of this family has; ``found`` is where they are."""
    if size_bytes > most_bytes:
        raise CheckpointError(
            f"expected at most {most_bytes} bytes of weights, found {found}{size_bytes}; {remedy}"
        )


def read_weight_file(path: Path) -> Mapping[str, object]:
    """Read whatever mapping a .safetensors file or a ``torch.save`` archive holds.

    The format is told by the content; the suffix is not trusted. Tensors are mapped from the file,
    not copied; names and values are left for the caller to check.

    Raises:
        CheckpointError: there is no such file; it is empty, truncated, of another format, or over
            2 GiB and no pipeline as .safetensors with an AutoencoderKL in it; its pickle asks for
            more than tensors; it holds no mapping.
    """
    with naming(path):
        try:
            is_file = path.is_file()
            size_bytes = path.stat().st_size
            # Opening a pipe would wait for its writer.
            head = _read_head(path) if is_file else b""
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CheckpointError(
                f"expected a checkpoint, but it cannot be read ({reason}); check the path"
            ) from error
        if not is_file:
            raise CheckpointError(
                "expected a file of weights, found no regular file; check the path"
            )
        is_safetensors = len(head) > 8 and head[8:9] == b"{"
        if not is_safetensors:
            require_size(size_bytes, _NOT_A_PIPELINE)
        if head.startswith(_ZIP_MAGIC):
            if path.suffix == ".safetensors":
                raise CheckpointError(
                    "expected a safetensors file, found a torch.save archive; "
                    "rename it to end in .pth"
                )
            return _read_torch_archive(path)
        if head.startswith(_LEGACY_MAGIC):
            return _load(path, "torch.save file", mmap=False)
        if is_safetensors:
            return _read_safetensors(path, size_bytes, head)
        raise CheckpointError(
            f"expected a .safetensors file or a torch.save archive, found {foreign_file(head)}"
        )


def _read_head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(HEAD_BYTES)


def _read_safetensors(path: Path, size_bytes: int, head: bytes) -> Mapping[str, object]:
    (header_bytes,) = struct.unpack("<Q", head[:8])
    if header_bytes > size_bytes - 8:
        raise CheckpointError(
            f"expected a header of at most {size_bytes - 8} bytes, found one that claims "
            f"{header_bytes}; the file is truncated, fetch it again"
        )
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = list(file.keys())
            if not are_kl_names(names):
                require_size(size_bytes, _NOT_A_PIPELINE)
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _broken("safetensors file", error) from error


def _read_torch_archive(path: Path) -> Mapping[str, object]:
    _check_archive_sizes(path)
    return _load(path, "torch.save archive", mmap=True)


def _load(path: Path, kind: str, *, mmap: bool) -> Mapping[str, object]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"one that asks for {wanted[1]:.80}" if wanted else f"another ({first_line(error)})"
        raise CheckpointError(
            f"expected a pickle of tensors only, found {what}, and it was not run; "
            "save the model's state_dict() instead"
        ) from error
    except Exception as error:
        # A damaged pickle fails wherever its instructions happen to lead PyTorch.
        raise _broken(kind, error) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"expected a checkpoint's named tensors, {_describe_content(content)}"
        )
    return content


def _check_archive_sizes(path: Path) -> None:
    """Refuse archives that would unpack to more than they are: torch.save never compresses."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as error:
        # Damaged figures lead zipfile anywhere, too.
        raise _broken("torch.save archive", error) from error
    foreign = foreign_archive([entry.filename for entry in entries])
    if foreign is not None:
        raise CheckpointError(f"expected a torch.save archive, found {foreign}")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED:
            raise CheckpointError(
                "expected a torch.save archive, whose entries are stored as they are, "
                f"found the compressed entry {entry.filename[:60]!r}; unpack the archive first"
            )
    total_bytes = sum(entry.file_size for entry in entries)
    require_size(total_bytes, "the file is damaged or hostile", found="entries that claim ")


def _describe_content(content: object) -> str:
    tensor = content
    while isinstance(tensor, (list, tuple)) and tensor:
        tensor = tensor[0]
    if isinstance(tensor, torch.Tensor):
        return f"found a tensor of shape {list(tensor.shape)}, {LATENTS_INSTEAD}"
    return f"found a {type(content).__name__}; save the model's state_dict()"


def _broken(kind: str, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"expected a whole {kind}, found a broken one ({first_line(error)}); fetch it again"
    )
