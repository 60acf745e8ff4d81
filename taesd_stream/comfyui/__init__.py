"""Nodes for ComfyUI: exact tiles, frames straight to a file, and a VAE for ComfyUI's own nodes.

ComfyUI imports the names below from the folder that ``taesd-video comfyui PATH`` puts into its
``custom_nodes``; outside of it they cannot be had.

>>> from taesd_stream.comfyui import NODE_CLASS_MAPPINGS
Traceback (most recent call last):
taesd_stream.MissingExtraError: ComfyUI's nodes need ComfyUI 0.3.64 or later around them, which \
imports them by itself: taesd-video comfyui PATH puts them into the ComfyUI in PATH
"""

from __future__ import annotations

from typing import Any

from taesd_stream.errors import MissingExtraError

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "comfy_entrypoint"]


def __getattr__(name: str) -> Any:
    # Late: the command installs the nodes where there is no ComfyUI to import.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import comfy_api.latest  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "ComfyUI's nodes need ComfyUI 0.3.64 or later around them, which imports them by"
            " itself: taesd-video comfyui PATH puts them into the ComfyUI in PATH"
        ) from error
    from taesd_stream.comfyui import nodes

    return getattr(nodes, name)
