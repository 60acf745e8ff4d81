"""A run's weights as the file that the package carries."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

__all__ = ["export"]


def export(run: Path, role: str, target: Path) -> int:
    """Write a checkpoint's weights in half precision; how many there are.

    Args:
        run: The folder of a run.
        role: "decoder" or "encoder".
        target: A .safetensors file.
    """
    content = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)
    weights = {
        f"{role}.{name}": tensor.to(torch.float16).contiguous()
        for name, tensor in content["network"].items()
    }
    save_file(
        weights, target, metadata={"format": "pt", "license": "MIT", "steps": str(content["step"])}
    )
    return sum(tensor.numel() for tensor in weights.values())
