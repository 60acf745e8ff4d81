"""Device, dtype and backend: resolved, or refused in one line that quotes what was asked."""

from __future__ import annotations

import pytest
import torch

from taesd_stream.engine.settings import Settings, resolve_settings
from taesd_stream.errors import InputError


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("auto", torch.float32),
        ("float32", torch.float32),
        ("fp16", torch.float16),
        ("BF16", torch.bfloat16),
        (torch.bfloat16, torch.bfloat16),
    ],
)
def test_dtypes_by_name_and_by_value(name: str | torch.dtype, dtype: torch.dtype) -> None:
    found = resolve_settings("cpu", name, "torch")
    assert found == Settings(torch.device("cpu"), dtype, "torch")


def test_auto_takes_what_is_there() -> None:
    there = resolve_settings()
    if torch.cuda.is_available():
        assert there.device.type == "cuda"
        assert there.dtype == torch.float16
    elif not torch.backends.mps.is_available():
        assert str(there) in ("cpu float32 openvino", "cpu float32 torch")


def test_a_torch_device_is_taken_as_it_is() -> None:
    assert resolve_settings(torch.device("cpu")).device == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "xla", "meta", ""])
def test_an_unknown_device_is_refused(device: str) -> None:
    with pytest.raises(InputError, match="device: expected auto, cpu, cuda") as caught:
        resolve_settings(device)
    assert repr(device) in str(caught.value)


@pytest.mark.parametrize("device", ["cuda", "cuda:99", "mps"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has it")
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has it")
    with pytest.raises(InputError, match=f"device: {device} is not available"):
        resolve_settings(device)


@pytest.mark.parametrize("dtype", ["float8", "int4", "double", torch.complex64, torch.int32, None])
def test_an_unknown_dtype_is_refused(dtype: object) -> None:
    with pytest.raises(InputError, match="dtype: expected auto, float32") as caught:
        resolve_settings("cpu", dtype)  # type: ignore[arg-type]
    assert repr(str(dtype)) in str(caught.value)


def test_an_unknown_backend_is_refused() -> None:
    assert resolve_settings("cpu", backend="torch").backend == "torch"
    with pytest.raises(InputError, match=r"backend: expected auto or .*found 'tensorrt'"):
        resolve_settings("cpu", backend="tensorrt")
