"""Pickles that want to run something: nothing of them is run, and all are refused by name."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import taesd_stream as ts

_VIDEO = torch.zeros(3, 4, 6, 8)


class Call:
    """An object whose unpickling calls a function."""

    def __init__(self, function, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _bombs(trap: Path) -> dict[str, object]:
    code = f"open({str(trap)!r}, 'w')"
    return {
        "system": Call(os.system, f"touch {trap}"),
        "open": Call(open, str(trap), "w"),
        "exec": Call(exec, code),
        "eval": Call(eval, code),
        "popen": Call(subprocess.Popen, ["touch", str(trap)]),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "memmap": Call(np.memmap, str(trap), "u1", "w+", 0, (1,)),
        "fromfile": Call(np.fromfile, str(trap)),
        "load": Call(torch.load, str(trap)),
        "path": Call(Path.touch, trap),
        "loads": Call(pickle.loads, pickle.dumps(Call(open, str(trap), "w"))),
    }


@pytest.mark.parametrize("kind", list(_bombs(Path())))
@pytest.mark.parametrize("form", ["zip", "old", "pickle", "npy"])
def test_bombs_do_not_go_off(kind: str, form: str, tmp_path: Path) -> None:
    trap, path = tmp_path / "trap", tmp_path / f"a.{'npy' if form == 'npy' else 'pt'}"
    content = {"latents": _VIDEO, "more": _bombs(trap)[kind]}
    if form == "npy":
        np.save(path, content, allow_pickle=True)
    elif form == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(ts.LatentsError, match="never run") as caught:
        ts.open_latents(path)
    assert not trap.exists()
    assert str(caught.value).isprintable()


def _spoilt(name: str, arguments: bytes) -> bytes:
    module, _, function = name.rpartition(".")
    return b"c" + module.encode() + b"\n" + function.encode() + b"\n" + arguments + b"R."


# Sixty lists, each of which holds the one before nine times.
_LAUGHS = b"]q\x00" + b"".join(b"](%beq%c" % (b"h%c" % n * 9, n + 1) for n in range(60)) + b"."


@pytest.mark.parametrize(
    "data",
    [
        b"cbuiltins\nprint\n.",
        b"cos\nsystem\n}S'x'\nI1\nsb.",  # a state for a function
        b"cnumpy\nndarray\n}S'__init__'\nI1\nsb.",
        _spoilt("builtins.bytearray", b"I1099511627776\n\x85"),  # a TiB of zeros
        _spoilt("builtins.bytes", b"I1099511627776\n\x85"),
        _spoilt(
            "numpy._core.multiarray._reconstruct", b"cnumpy\nndarray\n(I99999999999\ntS'b'\n\x87"
        ),
        _spoilt("builtins.list", b"I1\n\x85"),
        _spoilt("_codecs.encode", b"S'00'\nS'hex_codec'\n\x86"),
        _spoilt("_codecs.encode", b"S'00'\nS'zip'\n\x86"),
        b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.",  # bytes of an EiB
        b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"x.",
        b"\x80\x02Nr\xff\xff\xff\xff.",  # a memo of 2**32 places
        b"\x80\x02" + b"(" * 10**5 + b".",
        b"\x80\x02" + b"]" * 10**5 + b"a" * (10**5 - 1) + b".",  # deep lists
        b"\x80\x02\x82\x01.",  # an extension's number
        b"\x80\x05\x97.",  # a buffer that is elsewhere
        b"\x80\x02]q\x00h\x00a.",  # a list in itself
        b"\x80\x02}q\x00U\x07latentsh\x00s.",
        b"\x80\x02"
        + b"]q\x00"
        + b"".join(b"](" + b"h%c" % n * 9 + b"eq%c" % (n + 1) for n in range(60))
        + b".",
        b"I" + b"9" * 10**5 + b"\n.",
        b"\x80\x02N",
        b"\x80\x02.",
        b"\x80\x02}(].",
        b"\x80\x02}](Ku.",
    ],
)
def test_spoilt_pickles_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(ts.LatentsError) as caught:
        ts.open_latents(tmp_path / "a.pkl")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"K\x03K\x04K\x06K\x08", b"K\x03K\x04K\x06K\xff"),  # larger than the storage
        (b"(K\xc0K0K\x08K\x01t", b"(K\xffK0K\x08K\x01t"),  # strides beyond it
        (b"QK\x00", b"QK\x01"),  # one number too late
        (b"QK\x00", b"QJ\xff\xff\xff\xff"),  # a negative place
        (b"(K\xc0K0K\x08K\x01t", b"(K\xc0K0K\x08J\xff\xff\xff\xfft"),
        (b"ctorch\nFloatStorage", b"ctorch\nDoubleStorage"),
        (b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x001"),  # a storage that is not there
    ],
)
def test_tensors_lie_in_their_storage(before: bytes, after: bytes, tmp_path: Path) -> None:
    torch.save(_VIDEO, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as whole,
        zipfile.ZipFile(tmp_path / "b.pt", "w") as spoilt,
    ):
        for name in whole.namelist():
            data = whole.read(name)
            if name.endswith("data.pkl"):
                assert before in data
                data = data.replace(before, after, 1)
            spoilt.writestr(name, data)
    with pytest.raises(ts.LatentsError):
        ts.open_latents(tmp_path / "b.pt")[:]


def test_nothing_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.pkl").write_bytes(b"ctrapped\nopen\n(tR.")
    (tmp_path / "trapped.py").write_text(f"open({str(tmp_path / 'trap')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ts.LatentsError, match=r"trapped\.open"):
        ts.open_latents(tmp_path / "a.pkl")
    assert not (tmp_path / "trap").exists()
