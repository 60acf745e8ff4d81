""".safetensors and .latent: headers are not believed."""

from __future__ import annotations

import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from taesd_stream.errors import LatentsError
from taesd_stream.latents import open_latents

_VIDEO = torch.linspace(-3, 3, 6 * 4 * 2 * 3).reshape(6, 4, 2, 3)


def _safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _entry(shape, offsets, dtype="F32"):
    return {"latents": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 2**31) + b"{" + bytes(99),
        _safetensors(b"{" * 5000),
        _safetensors(b"{not json}"),
        _safetensors(_entry([1, 4, 10**9, 10**9], [0, 16 * 10**18]), bytes(64)),
        _safetensors(_entry([1, 4, 2, 2], [0, 64]), bytes(63)),
        _safetensors(_entry([1, 4, 2, 2], [0, 60]), bytes(64)),
        _safetensors(_entry([1, 4, 2, 2], [-64, 0]), bytes(64)),
        _safetensors(_entry([1, 4, 2, 0], [0, 0])),
        _safetensors(_entry([1, 4, 2, 2], [0, 64], "XX"), bytes(64)),
        _safetensors({}),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, data):
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(LatentsError) as caught:
        open_latents(path)
    assert "\n" not in str(caught.value)


def test_bytes_are_pointed_to_png(tmp_path):
    save_file({"latents": _VIDEO.byte()}, tmp_path / "a.safetensors")
    with pytest.raises(LatentsError, match=r"found uint8: .*PNG"):
        open_latents(tmp_path / "a.safetensors")


def test_a_header_whose_length_looks_like_another_format(tmp_path):
    """0x4b50 bytes of header begin with PK, as a zip file does."""
    header = json.dumps(_entry([6, 4, 2, 3], [0, _VIDEO.nbytes])).encode().ljust(0x4B50)
    path = tmp_path / "a.safetensors"
    path.write_bytes(_safetensors(header, _VIDEO.numpy().tobytes()))
    assert path.read_bytes().startswith(b"PK")
    assert torch.equal(open_latents(path)[:], _VIDEO)


def test_a_comfyui_file_is_read_as_it_is(tmp_path):
    content = {"latent_tensor": _VIDEO, "latent_format_version_0": torch.zeros(0)}
    save_file(content, tmp_path / "a.latent")
    assert torch.equal(open_latents(tmp_path / "a.latent")[:], _VIDEO)


def test_what_holds_no_latents_lists_what_it_holds(shared):
    path = shared / "latents" / "flux2_clip_reference.safetensors"
    with pytest.raises(LatentsError, match=r"'images': U8 \(3, 3, 240, 416\).*key="):
        open_latents(path)
