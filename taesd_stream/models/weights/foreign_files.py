"""The names of files that are no weights, by how they begin, and what to do about each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

__all__ = ["HEAD_BYTES", "LATENTS_INSTEAD", "foreign_archive", "foreign_file"]

HEAD_BYTES: Final = 512
"""How many bytes of a file tell its kind."""

LATENTS_INSTEAD: Final = (
    "which looks like a latents file; give it as the input, and a checkpoint as the model"
)
"""The end of a message about latents that were given as a model."""

_SAVE_STATE: Final = "save the model's state_dict() with torch.save or safetensors"
_KINDS: Final[Sequence[tuple[re.Pattern[bytes], str]]] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), said)
    for pattern, said in (
        (rb"\x93NUMPY", f"a .npy array, {LATENTS_INSTEAD}"),
        (
            rb"version https://git-lfs",
            "a git-lfs pointer, which stands for the file; run git lfs pull, or download the file",
        ),
        (
            rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)?<(?:!doctype html|html|head|body|\?xml)",
            "a web page (HTML); download the file itself: raw on GitHub, resolve (not blob) on the"
            " hub",
        ),
        (rb"GGUF", "a GGUF file, which holds quantised weights; give .safetensors or .pth"),
        (rb"\x80[\x02-\x05]", f"a bare pickle, and it was not opened; {_SAVE_STATE}"),
        (rb"\x89HDF\r\n", f"an HDF5 (Keras) file; {_SAVE_STATE}"),
        (rb"\x1f\x8b", "a gzip archive; unpack it first"),
        (rb"7z\xbc\xaf|Rar!|\xfd7zXZ|BZh|\x28\xb5\x2f\xfd", "a packed archive; unpack it first"),
        (rb".{257}ustar", "a tar archive; unpack it first"),
        (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP", "a picture; give a checkpoint as the model"),
        (rb".{4}ftyp|\x1aE\xdf\xa3", "a video; give a checkpoint as the model"),
        (rb"\s*[\[{]", "a JSON text; give the file of the weights themselves"),
        (rb".{0,64}(?:onnx|pytorch\x12)", f"an ONNX model; {_SAVE_STATE}"),
    )
)


def foreign_file(head: bytes) -> str:
    """What a file that begins with ``head`` is, which holds no weights; and what to do.

    >>> foreign_file(b"version https://git-lfs.github.com/spec/v1")[:19]
    'a git-lfs pointer, '
    """
    if not head:
        return "an empty file; fetch it again"
    for pattern, said in _KINDS:
        if pattern.match(head):
            return said
    return f"a file that begins with {head[:16]!r}; fetch it again"


def foreign_archive(names: Sequence[str]) -> str | None:
    """What a zip with entries of these names is; None if it is ``torch.save``'s."""
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        return f"a TorchScript archive, which is a program; {_SAVE_STATE}"
    if any(name.endswith("archive_format") for name in names):
        return f"an exported program (torch.export); {_SAVE_STATE}"
    if any(name.endswith("/data.pkl") for name in names):
        return None
    first = repr(names[0][:60]) if names else "nothing"
    return f"another kind of zip, which begins with {first}; give a checkpoint"
