"""A video half done, to be saved, moved and gone on with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from taesd_stream.errors import InputError, OutputError

__all__ = ["StreamState"]

_FORMAT = "taesd-stream state 1"
_PENDING = "pending."
_STATES = "memory."
_MOST = 2**31
_NUMBERS: Mapping[str, Callable[[Any], Any]] = {
    "model": str,
    "action": str,
    "height": int,
    "width": int,
    "done": int,
    "total": lambda total: None if total is None else int(total),
    "chunk": lambda chunk: None if chunk is None else int(chunk),
}
_BROKEN = (OSError, SafetensorError, ValueError, KeyError, TypeError, OverflowError, RecursionError)


@dataclass(frozen=True, eq=False)
class StreamState:
    """All that a stream knows between two pushes; tensors lie in the host's memory.

    It fits any tile, budget and device, but only the model that made it.

    Attributes:
        model: The model's name and scales, as ``ModelSpec.label`` says them.
        action: "decode" or "encode".
        height: Of what is pushed: in latents to decode, in pixels to encode.
        width: The same.
        done: How many latents were decoded, or frames encoded.
        total: How many latents there are in the end; None if that was not known.
        chunk: Frames that are made together; None where each is made alone.
        states: The state of each layer over the whole plane, (steps, C, h, w), by its name.
        pending: What else waits: "latents" (T, C, h, w) that came and are not decoded, or that are
            encoded and not known to be wanted; the last "frame" (H, W, 3).
    """

    model: str
    action: str
    height: int
    width: int
    done: int
    total: int | None
    chunk: int | None
    states: Mapping[str, Tensor]
    pending: Mapping[str, Tensor]

    def check(self, model: str, action: str) -> None:
        """Refuse to go on with another model, or the other way round.

        Raises:
            InputError: That.
        """
        if (self.model, self.action) != (model, action):
            raise InputError(
                f"state: expected one of {model} to {action}, found one of {self.model} to"
                f" {self.action}; load that model to go on with it"
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a .safetensors file, in place of what may be there.

        Raises:
            OutputError: It cannot be written.
        """
        tensors = {_STATES + name: tensor.contiguous() for name, tensor in self.states.items()}
        tensors |= {_PENDING + name: each.cpu().contiguous() for name, each in self.pending.items()}
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        part = Path(f"{os.fspath(path)}.part")
        try:
            save_file(tensors, part, metadata={"format": _FORMAT, "state": json.dumps(numbers)})
            os.replace(part, path)
        except (OSError, SafetensorError) as error:
            part.unlink(missing_ok=True)
            raise OutputError(f"cannot write {os.fspath(path)}: {error}") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> StreamState:
        """Read what ``save`` wrote.

        Raises:
            InputError: The file holds no such state.
        """
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                found = (file.metadata() or {}).get("format")
                if found != _FORMAT:
                    raise InputError(
                        f"state: expected a file that a stream was saved to, found"
                        f" {found or 'another .safetensors'} in {path}"
                    )
                numbers = json.loads(file.metadata()["state"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            state = cls(
                **{name: read(numbers[name]) for name, read in _NUMBERS.items()},
                states=_under(_STATES, tensors),
                pending=_under(_PENDING, tensors),
            )
            state._check_whole()
            return state
        except InputError:
            raise
        except _BROKEN as error:
            raise InputError(f"state: {path} cannot be read ({error}); save it again") from error

    def _check_whole(self) -> None:
        """Raise ValueError where numbers and tensors do not belong together."""
        latents, frame = self.pending.get("latents"), self.pending.get("frame")
        decodes = self.action == "decode"
        plane = (self.height, self.width)
        if not (
            0 < self.height < _MOST
            and 0 < self.width < _MOST
            and 0 <= self.done < _MOST
            and (self.total is None or self.done <= self.total < _MOST)
        ):
            raise ValueError(f"{self.done} of {self.total} steps of {self.width}x{self.height}")
        for name, tensor in self.states.items():
            if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"{name} remembers {tensor.dtype}, or values that are not finite")
        if latents is not None and (latents.dim() != 4 or (decodes and latents.shape[2:] != plane)):
            raise ValueError(f"latents of shape {tuple(latents.shape)}")
        if not decodes and (
            frame is None or frame.shape != (*plane, 3) or frame.dtype != torch.uint8
        ):
            raise ValueError(f"no frame of {self.width}x{self.height} bytes")


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
