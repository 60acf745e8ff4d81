"""Gradient descent, from a seed, resumable at every checkpoint."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from taesd_stream.models.layers.residual import Residual
from taesd_stream.models.network import Network

__all__ = ["Recipe", "Trainer"]

_log = logging.getLogger("training")

Batches = Callable[[int], tuple[Tensor, Tensor]]
"""The input of the network and the target of its output, for a step."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a run depends on besides its pictures and its length.

    The learning rate rises over ``warmup`` steps, stays, and falls to nothing over the last
    ``decay`` of all steps: a run can be made longer as long as it has not begun to fall.

    Attributes:
        seed: Of the weights and the crops.
        batch: Crops a step.
        size: Side of a crop in pixels.
        rate: The learning rate in the middle.
        warmup: Steps.
        decay: A share of all steps.
        noise: Standard deviation of what is added to the latents of some crops, at most.
    """

    seed: int = 0
    batch: int = 16
    size: int = 160
    rate: float = 2e-3
    warmup: int = 200
    decay: float = 0.3
    noise: float = 0.04

    def rate_at(self, step: int, steps: int) -> float:
        """The learning rate of a step out of ``steps``.

        >>> [Recipe(warmup=10).rate_at(step, 100) for step in (0, 10, 69, 85)]
        [0.0002, 0.002, 0.002, 0.001]
        """
        begun = min(1.0, (step + 1) / self.warmup)
        left = (steps - step) / max(1, steps * self.decay)
        return self.rate * min(begun, left, 1.0)


class Trainer:
    """A network on its way.

    Args:
        network: What is trained; its weights are set from the seed.
        recipe: How.
        folder: Where ``checkpoint.pt`` and ``history.jsonl`` are kept, and gone on from.
        device: Where it is trained.

    Raises:
        ValueError: The folder holds a run of another recipe or network.
    """

    def __init__(
        self, network: Network, recipe: Recipe, folder: Path, device: torch.device
    ) -> None:
        self.network = network
        self.recipe = recipe
        self.step = 0
        self._folder = folder
        self._device = device
        _initialise(network, recipe.seed)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimiser = torch.optim.Adam(network.parameters(), lr=recipe.rate, betas=(0.9, 0.99))
        folder.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            self._restore(torch.load(self._path, map_location=device, weights_only=True))

    @property
    def _path(self) -> Path:
        return self._folder / "checkpoint.pt"

    def run(
        self,
        batches: Batches,
        steps: int,
        *,
        every: int,
        measure: Callable[[Network], dict[str, float]],
    ) -> None:
        """Train up to ``steps`` steps, those already taken included.

        Args:
            every: Steps from one checkpoint, with its figures, to the next.
            measure: The figures.
        """
        losses: list[float] = []
        bar = tqdm(total=steps, initial=self.step, unit="step")
        for given, wanted in _prefetched(batches, self.step, steps):
            for group in self._optimiser.param_groups:
                group["lr"] = self.recipe.rate_at(self.step, steps)
            losses.append(self._descend(given.to(self._device), wanted.to(self._device)))
            self.step += 1
            bar.update()
            if self.step % every == 0 or self.step == steps:
                figures = {"step": self.step, "loss": float(np.mean(losses))}
                losses.clear()
                self._save(figures | measure(self.network))
        bar.close()

    def _descend(self, given: Tensor, wanted: Tensor) -> float:
        given = given.to(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16):
            made = self.network.plain(given)
        # The root of a crop's mean square error: smooth crops count as much as busy ones.
        loss = (made.float() - wanted).square().mean((1, 2, 3)).add(1e-6).sqrt().mean()
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimiser.step()
        return float(loss.detach())

    def _save(self, figures: dict[str, float]) -> None:
        content = {
            "step": self.step,
            "recipe": asdict(self.recipe),
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        part = self._path.with_suffix(".part")
        torch.save(content, part)
        with open(self._folder / "history.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")
        os.replace(part, self._path)
        _log.info("%s", figures)

    def _restore(self, content: dict[str, Any]) -> None:
        found, expected = content["recipe"], asdict(self.recipe)
        if found != expected:
            changed = [name for name in expected if found.get(name) != expected[name]]
            raise ValueError(
                f"{self._path}: expected a run with this recipe, found another"
                f" {', '.join(changed)}; give another folder, or the same options"
            )
        if content["network"].keys() != self.network.state_dict().keys():
            raise ValueError(
                f"{self._path}: expected a run of this network, found one of another; give another"
                " folder"
            )
        self.step = content["step"]
        self.network.load_state_dict(content["network"])
        self._optimiser.load_state_dict(content["optimiser"])


def _initialise(network: Network, seed: int) -> None:
    """He's initialisation; blocks begin as little more than their skip connection."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu", generator=generator)
        else:
            nn.init.zeros_(parameter)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, Residual):
                list(layer.conv.parameters())[-2].mul_(0.2)
        list(network.parameters())[-2].mul_(0.2)
        list(network.parameters())[-1].fill_(0.5 if network.out_channels == 3 else 0.0)


def _prefetched(batches: Batches, first: int, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of steps; one is made while another is learned from."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(batches, first)
        for step in range(first, steps):
            ready = coming.result()
            if step + 1 < steps:
                coming = pool.submit(batches, step + 1)
            yield ready
