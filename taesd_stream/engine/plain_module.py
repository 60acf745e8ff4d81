"""One half of a model as a plain module, for those who train it or need all of its gradients."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from taesd_stream.engine.clips import Place, decoded_clip, encoded_clip
from taesd_stream.engine.coder import Coder
from taesd_stream.engine.plain_modes import loading
from taesd_stream.engine.shapes import as_pictures
from taesd_stream.models.layers.group_norm import GroupNorm
from taesd_stream.models.network import Network

__all__ = ["PlainModule"]


class PlainModule(nn.Module):
    """A decoder or an encoder in plain PyTorch: undivided, and differentiable in all it holds.

    Its parameters have the official names, and are copies. ``taesd_stream.load`` takes it back.

    Made by ``AutoEncoder.decoder_module`` and ``encoder_module``.

    Attributes:
        variant: The name of the variant that it is one half of.
    """

    def __init__(self, coder: Coder) -> None:
        super().__init__()
        self.variant = coder.spec.name
        self._spec = coder.spec
        with loading():
            network = deepcopy(coder.network)
            network.to(torch.promote_types(coder.settings.tensor_dtype, torch.float32))
        self._network: tuple[Network] = (network.requires_grad_(),)  # its names shall not be ours
        for name, layer in network.named_children():
            self.add_module(name, layer)

    def forward(self, source: Tensor) -> Tensor:
        """What ``decode`` makes of latents, or ``encode`` of pictures, not cut to [0, 1].

        Args:
            source: (N, C, h, w), or (N, T, C, h, w) for video, in the model's convention. What is
                made in chunks is taken as one chunk, be it (T, C, h, w) or (N, T, C, h, w).

        Returns:
            (N, C', H, W) or (N, T', C', H, W).

        Raises:
            InputError: It has other axes, channels or numbers.
        """
        (network,) = self._network
        source = as_pictures(source, "source", network.channels, self.variant)
        if not network.sees_other_steps:
            made = network.plain(source.flatten(0, -4))
            return made.view(*source.shape[:-3], *made.shape[1:])
        alone = source[None] if network.in_chunks else source[:, None]
        clips = source if source.dim() == 5 else alone
        made = torch.stack([self._clip(clip) for clip in clips])
        return made if source.dim() == 5 else made.flatten(0, 1)

    def checkpoint(self) -> dict[str, Tensor]:
        """Its weights, under names that tell which half they are of."""
        half = "decoder" if self._network[0].decodes else "encoder"
        return {f"{half}.{name}": weight for name, weight in self.state_dict().items()}

    @property
    def config(self) -> dict[str, float]:
        """What its weights' shapes do not show, as diffusers' configurations have it."""
        norms = [each for each in self._network[0].modules() if isinstance(each, GroupNorm)]
        space = self._spec.space
        found: dict[str, float] = {"norm_num_groups": norms[0].groups} if norms else {}
        if norms and len(space.deviation) == 1:
            found |= {"scaling_factor": 1 / space.deviation[0], "shift_factor": space.mean[0]}
        return found

    def _clip(self, clip: Tensor) -> Tensor:
        (network,) = self._network
        if network.decodes:
            return decoded_clip(self._spec.timing, clip, self._computed)
        return encoded_clip(self._spec.encode_timing, clip, self._computed)

    def _computed(self, source: Tensor, steps: int, place: Place) -> Tensor:
        (network,) = self._network
        made = network.plain(source)
        return made[[step for step in range(made.shape[0]) if place(step) is not None]]
