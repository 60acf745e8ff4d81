"""Functions of diffusers' pipelines, whose modules import more than the tests have."""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch


def pipeline_function(module: str, name: str) -> Callable[..., Any]:
    """A static method of a pipeline, from its source; it may use torch and nothing else.

    Args:
        module: Such as ``flux.pipeline_flux``.
        name: Such as ``_unpack_latents``.
    """
    spec = find_spec("diffusers")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "pipelines" / f"{module.replace('.', '/')}.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            node.decorator_list = []
            names: dict[str, Any] = {"torch": torch}
            exec(compile(ast.Module([node], []), str(path), "exec"), names)
            found: Callable[..., Any] = names[name]
            return found
    raise LookupError(f"no {name} in {path}")
