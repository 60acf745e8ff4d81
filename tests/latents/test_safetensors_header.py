"""The header of a .safetensors file is refused where the format's own library refuses it."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from taesd_stream.latents.formats.safetensors_header import SafetensorsHeader

_ARRAYS = {"latents": torch.zeros(2, 3), "a": torch.zeros(4).half(), "empty": torch.zeros(0, 3)}
_WHOLE = save(_ARRAYS, metadata={"x": "y"})
_LENGTH = int.from_bytes(_WHOLE[:8], "little")


def _is_taken(content: bytes) -> bool:
    try:
        SafetensorsHeader(io.BytesIO(content), len(content))
    except ValueError:
        return False
    return True


def _is_taken_by_the_library(content: bytes, path: Path) -> bool | None:
    """None where a dtype is all that it finds fault with: later ones are no reason to refuse."""
    path.write_bytes(content)
    try:
        with safe_open(path, framework="pt"):
            return True
    except SafetensorError as error:
        return None if "unknown variant" in str(error) else False


def test_damaged_headers(tmp_path: Path) -> None:
    chance = random.Random(0)
    taken = 0
    for _ in range(700):
        content = bytearray(_WHOLE)
        for _ in range(chance.choice([1, 1, 1, 2])):
            letter = chance.choice([chance.randrange(256), *b'0123456789,:[]{}"-'])
            content[chance.randrange(8 + _LENGTH)] = letter
        if chance.random() < 0.1:
            del content[chance.randrange(len(content)) :]
        damaged = bytes(content)
        is_taken = _is_taken(damaged)
        taken += is_taken
        expected = _is_taken_by_the_library(damaged, tmp_path / "z.safetensors")
        assert expected is None or is_taken == expected, damaged
    assert 7 < taken < 350


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0]},
        {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 4]},
        {"dtype": None, "shape": [1], "data_offsets": [0, 4]},
        [],
    ],
)
def test_entries_that_are_refused(entry: object) -> None:
    header = json.dumps({"a": entry}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(4)
    with pytest.raises(ValueError, match="'a'"):
        SafetensorsHeader(io.BytesIO(content), len(content))
