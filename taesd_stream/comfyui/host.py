"""What nodes take from the ComfyUI that runs them: devices, folders, progress and interrupts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.cli_args
import comfy.model_management
import comfy.utils
import folder_paths
import torch

from taesd_stream.engine.budget import read_budget
from taesd_stream.errors import InputError, OutputError
from tiling import Size

__all__ = [
    "Place",
    "Progress",
    "compute_device",
    "how_made",
    "make_room",
    "model_file",
    "model_names",
    "output_device",
    "place_for",
]

_MODEL_FOLDERS = ("vae_approx", "vae")
_STEPS = 1000
_ENOUGH = 1 << 30
"""Free bytes of a GPU that are enough to decode any picture in tiles at nearly full speed."""


class Progress:
    """The bar on the running node.

    It raises ComfyUI's own exception as soon as the user has interrupted.
    """

    def __init__(self) -> None:
        self._bar = comfy.utils.ProgressBar(_STEPS)
        self._shown = 0

    def __call__(self, done: float, total: float | None) -> None:
        """So much is done, and of how much; None where nobody knows."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        step = int(_STEPS * done / total) if total else 0
        if step > self._shown:
            self._shown = step
            self._bar.update_absolute(step, _STEPS)


def compute_device() -> torch.device:
    """Where ComfyUI has VAEs compute."""
    device: torch.device = comfy.model_management.vae_device()
    return device


def output_device() -> torch.device:
    """Where ComfyUI has what goes from node to node."""
    device: torch.device = comfy.model_management.intermediate_device()
    return device


def make_room(device: torch.device, memory: int | str) -> None:
    """Have ComfyUI unload models until there is memory to compute in, as it does for its own VAEs.

    Args:
        memory: The budget; "auto" needs no more than a little, so that models stay where they are.
    """
    if device.type != "cpu":
        wanted = _ENOUGH if memory == "auto" else read_budget(memory, device).bytes
        comfy.model_management.free_memory(wanted, device)


def how_made(hidden: Any) -> dict[str, str]:
    """What ComfyUI's own files say of how they were made: they bring it back when dropped there.

    Args:
        hidden: A node's ``prompt`` and ``extra_pnginfo``, which holds the workflow.

    Returns:
        Names and texts for a file; none where ComfyUI was started so that it keeps none.
    """
    if comfy.cli_args.args.disable_metadata:
        return {}
    known = {**(hidden.extra_pnginfo or {}), "prompt": hidden.prompt}
    return {name: json.dumps(value) for name, value in known.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Place:
    """A new name in ComfyUI's output folder.

    Attributes:
        folder: The folder, which exists.
        subfolder: The same, as seen from the output folder.
        name: The file's name without a suffix, with a number that is free.
    """

    folder: Path
    subfolder: str
    name: str


def place_for(prefix: str, pixels: Size) -> Place:
    """The next free name for a prefix, as ComfyUI numbers them.

    Args:
        prefix: It may hold folders, and what ComfyUI replaces, such as ``%width%``.
        pixels: Of a frame.

    Raises:
        InputError: There is a % left, which would be taken for the number of a picture.
        OutputError: The folder cannot be made or read.
    """
    output = folder_paths.get_output_directory()
    try:
        folder, name, number, subfolder, _ = folder_paths.get_save_image_path(
            prefix, output, pixels.width, pixels.height
        )
    except OSError as error:
        raise OutputError(
            f"cannot write to '{prefix}' in ComfyUI's output folder {output}: {error.strerror}"
        ) from error
    if "%" in name:
        raise InputError(
            f"filename_prefix: expected no % but of what ComfyUI replaces, such as %width%, found"
            f" {prefix!r}"
        )
    return Place(Path(folder), subfolder, f"{name}_{number:05}_")


def model_names() -> list[str]:
    """The files in ComfyUI's folders of VAEs, each by its folder and name."""
    return [
        f"{folder}/{name}"
        for folder in _MODEL_FOLDERS
        for name in folder_paths.get_filename_list(folder)
    ]


def model_file(choice: str) -> Path | None:
    """The file of one of ``model_names``; None where it is no such name, or not there any more."""
    folder, _, name = choice.partition("/")
    path = folder_paths.get_full_path(folder, name) if folder in _MODEL_FOLDERS else None
    return None if path is None else Path(path)
