"""The tasks of the two halves of nano: the input, the target, and the measure of success."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taesd_stream.models.architectures import nano_decoder, nano_encoder
from taesd_stream.models.network import Network
from training.crops import Crops
from training.figures import Coder, Example, Score, fidelity, score
from training.trainer import Batches, Recipe

__all__ = ["HALVES", "Half"]

Sets = Mapping[str, Sequence[Example]]
"""Pictures that nothing is learned from, by the name of the set."""


@dataclass(frozen=True, slots=True)
class Half:
    """One of the two networks.

    Attributes:
        network: Builds it.
        batches: What it reads and what it shall make, from crops and the teacher.
        measure: Its figures on pictures that it has not seen.
    """

    network: Callable[[], Network]
    batches: Callable[[Crops, Coder, Recipe], Batches]
    measure: Callable[[Coder, Sets], dict[str, float]]

    def figures_of(self, network: Network, sets: Sets) -> dict[str, float]:
        """The figures of a network that is being trained."""
        return self.measure(_coder(network), sets)


def _coder(network: Network) -> Coder:
    device = next(network.parameters()).device

    def code(given: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(network.plain(torch.from_numpy(given).to(device)).cpu().numpy())

    return code


def _decoder_batches(crops: Crops, encode: Coder, recipe: Recipe) -> Batches:
    def batch(step: int) -> tuple[Tensor, Tensor]:
        pictures = crops.batch(step, recipe.batch)
        latents = encode(pictures)
        rng = np.random.default_rng([recipe.seed, step, 1])
        # Half of the crops are left as they are.
        most = recipe.noise * np.maximum(0, rng.uniform(-1, 1, (recipe.batch, 1, 1, 1)))
        noisy = latents + most * rng.normal(size=latents.shape)
        return torch.from_numpy(noisy.astype(np.float32)), torch.from_numpy(pictures)

    return batch


def _encoder_batches(crops: Crops, encode: Coder, recipe: Recipe) -> Batches:
    def batch(step: int) -> tuple[Tensor, Tensor]:
        pictures = crops.batch(step, recipe.batch)
        return torch.from_numpy(pictures), torch.from_numpy(encode(pictures))

    return batch


def _decoder_figures(decode: Coder, sets: Sets) -> dict[str, float]:
    made: dict[str, float] = {}
    for name, examples in sets.items():
        mean = Score.mean([score(each, decode) for each in examples])
        made |= {f"{name}_psnr": mean.psnr, f"{name}_ssim": mean.ssim}
    return made


def _encoder_figures(encode: Coder, sets: Sets) -> dict[str, float]:
    return {
        f"{name}_snr": float(np.mean([fidelity(each, encode) for each in examples]))
        for name, examples in sets.items()
    }


HALVES: Mapping[str, Half] = {
    "decoder": Half(nano_decoder, _decoder_batches, _decoder_figures),
    "encoder": Half(nano_encoder, _encoder_batches, _encoder_figures),
}
