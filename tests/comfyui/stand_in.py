# ruff: noqa: A002, PLR0917 - names and order are ComfyUI's.
"""The part of ComfyUI that the nodes touch: names and signatures are ComfyUI's, the rest is ours.

Which names and parameters there are was compared with ComfyUI 0.3.64, where all nodes have run.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

__all__ = ["ComfyUI", "InterruptProcessingException"]


class InterruptProcessingException(BaseException):
    """What ComfyUI raises in a node that the user has stopped; an Exception in 0.3.64."""


class ComfyUI:
    """A ComfyUI with folders of its own.

    Attributes:
        root: Its folder.
        shown: What progress bars were told, (value, total).
        freed: The bytes of a GPU that room was asked for.
        args: What ComfyUI was started with.
        interrupt_after: How often a node may ask whether it was stopped before it was.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shown: list[tuple[int, int]] = []
        self.freed: list[int] = []
        self.interrupt_after: int | None = None
        self.args = SimpleNamespace(disable_metadata=False)
        for folder in ("output", "models/vae", "models/vae_approx"):
            (root / folder).mkdir(parents=True)

    @property
    def output(self) -> Path:
        """Where nodes save."""
        return self.root / "output"

    @property
    def vae_approx(self) -> Path:
        """Where tiny VAEs lie."""
        return self.root / "models/vae_approx"

    def modules(self) -> dict[str, ModuleType]:
        """Its modules by their names."""
        management = _module(
            "comfy.model_management",
            vae_device=lambda: torch.device("cpu"),
            intermediate_device=lambda: torch.device("cpu"),
            free_memory=self._free_memory,
            throw_exception_if_processing_interrupted=self._throw_if_interrupted,
        )
        utils = _module("comfy.utils", ProgressBar=self._progress_bar)
        arguments = _module("comfy.cli_args", args=self.args)
        comfy = _module("comfy", model_management=management, utils=utils, cli_args=arguments)
        latest = _module(
            "comfy_api.latest", io=_IO, ui=_UI, InputImpl=_INPUT_IMPL, ComfyExtension=ComfyExtension
        )
        made = [comfy, arguments, management, utils, _module("comfy_api", latest=latest), latest]
        return {each.__name__: each for each in (*made, self._folder_paths())}

    def _throw_if_interrupted(self) -> None:
        if self.interrupt_after is not None:
            self.interrupt_after -= 1
            if self.interrupt_after < 0:
                raise InterruptProcessingException

    def _free_memory(self, memory_required: int, device: torch.device) -> None:
        self.freed.append(memory_required)

    def _progress_bar(self, total: int, node_id: str | None = None) -> SimpleNamespace:
        def update_absolute(value: int, total: int | None = None, preview: object = None) -> None:
            self.shown.append((value, total or 0))

        return SimpleNamespace(update_absolute=update_absolute)

    def _folder_paths(self) -> ModuleType:
        models = self.root / "models"

        def get_filename_list(folder_name: str) -> list[str]:
            return sorted(each.name for each in (models / folder_name).iterdir())

        def get_full_path(folder_name: str, filename: str) -> str | None:
            path = models / folder_name / filename
            return str(path) if path.is_file() else None

        def get_save_image_path(
            filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
        ) -> tuple[str, str, int, str, str]:
            prefix = filename_prefix.replace("%width%", str(image_width))
            prefix = prefix.replace("%height%", str(image_height))
            subfolder, _, name = prefix.rpartition("/")
            folder = Path(output_dir, subfolder)
            folder.mkdir(parents=True, exist_ok=True)
            numbers = [int(each.name.split("_")[-2]) for each in folder.glob(f"{name}_*_*")]
            return str(folder), name, max(numbers, default=0) + 1, subfolder, prefix

        return _module(
            "folder_paths",
            get_output_directory=lambda: str(self.output),
            get_filename_list=get_filename_list,
            get_full_path=get_full_path,
            get_save_image_path=get_save_image_path,
        )


def _module(name: str, **content: object) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(content)
    return made


class _Socket:
    """A kind of input and output without a widget."""

    class Input:
        def __init__(
            self,
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
        ) -> None:
            self.id, self.optional = id, optional

    class Output:
        def __init__(self, id: str | None = None, display_name: str | None = None) -> None:
            self.id = id


class _Widget(_Socket):
    """A kind of input with a widget."""

    class Input(_Socket.Input):
        def __init__(
            self,
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            *,
            default: object = None,
            options: list[str] | None = None,
            min: float | None = None,
            max: float | None = None,
            step: float | None = None,
        ) -> None:
            super().__init__(id, display_name, optional, tooltip)
            self.default, self.options = default, options


class _Schema(SimpleNamespace):
    def __init__(
        self,
        node_id: str,
        display_name: str,
        category: str,
        inputs: list[_Socket.Input],
        outputs: list[_Socket.Output],
        description: str = "",
        is_output_node: bool = False,
        hidden: list[str] | None = None,
    ) -> None:
        super().__init__(**{name: value for name, value in locals().items() if name != "self"})


class _ComfyNode:
    hidden = SimpleNamespace(prompt=None, extra_pnginfo=None)

    @classmethod
    def define_schema(cls) -> _Schema:
        raise NotImplementedError

    @classmethod
    def GET_SCHEMA(cls) -> _Schema:  # noqa: N802
        return cls.define_schema()


class _NodeOutput:
    def __init__(self, *args: Any, ui: Any = None) -> None:
        self.args, self.ui = args, ui


class _FolderType(StrEnum):
    output = "output"


class _Hidden(StrEnum):
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"


class ComfyExtension:
    """The base class of what a custom node hands over."""

    get_node_list: Callable[..., Any]


class _SavedResult(dict[str, str]):
    def __init__(self, filename: str, subfolder: str, type: _FolderType) -> None:
        super().__init__(filename=filename, subfolder=subfolder, type=type.value)


class _SavedImages:
    def __init__(self, results: list[_SavedResult], is_animated: bool = False) -> None:
        self.results = results


class _PreviewVideo:
    def __init__(self, values: list[_SavedResult]) -> None:
        self.values = values


class _VideoFromFile:
    def __init__(self, file: str) -> None:
        self.file = file


_IO = SimpleNamespace(
    **dict.fromkeys(("Latent", "Vae", "Image", "Video", "Audio"), _Socket),
    **dict.fromkeys(("Combo", "String", "Float", "Int"), _Widget),
    Schema=_Schema,
    ComfyNode=_ComfyNode,
    NodeOutput=_NodeOutput,
    FolderType=_FolderType,
    Hidden=_Hidden,
)
_UI = SimpleNamespace(
    SavedResult=_SavedResult, SavedImages=_SavedImages, PreviewVideo=_PreviewVideo
)
_INPUT_IMPL = SimpleNamespace(VideoFromFile=_VideoFromFile)
