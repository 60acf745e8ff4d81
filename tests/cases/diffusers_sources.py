"""Functions and figures from the source of diffusers, whose import takes seconds."""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch

_Definition = TypeVar("_Definition", ast.FunctionDef, ast.ClassDef)


def pipeline_function(module: str, name: str) -> Callable[..., Any]:
    """A static method of a pipeline; it may use torch and nothing else.

    Args:
        module: Such as ``flux.pipeline_flux``.
        name: Such as ``_unpack_latents``.
    """
    function = _definition(f"pipelines.{module}", name, ast.FunctionDef)
    function.decorator_list = []
    names: dict[str, Any] = {"torch": torch}
    exec(compile(ast.Module([function], []), module, "exec"), names)
    found: Callable[..., Any] = names[name]
    return found


def vae_figures(module: str, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(C, 1, 1) means and deviations that a video VAE has where no config says others.

    Args:
        module: Such as ``autoencoder_kl_wan``.
        name: The class's, such as ``AutoencoderKLWan``.
    """
    made = _definition(f"models.autoencoders.{module}", name, ast.ClassDef)
    (begin,) = (
        each for each in made.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"
    )
    defaults = begin.args.defaults
    names = [each.arg for each in begin.args.args[-len(defaults) :]]
    values = dict(zip(names, defaults, strict=True))
    mean, deviation = (
        torch.tensor(ast.literal_eval(values[key]))[:, None, None]
        for key in ("latents_mean", "latents_std")
    )
    return mean, deviation


def _definition(module: str, name: str, kind: type[_Definition]) -> _Definition:
    spec = find_spec("diffusers")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / f"{module.replace('.', '/')}.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, kind) and node.name == name:
            return node
    raise LookupError(f"no {name} in {path}")
