"""Clips whose frames a pipeline decodes a few at a time, without saying which belong together."""

from __future__ import annotations

from torch import Tensor

from taesd_stream.engine import AutoEncoder
from taesd_stream.engine.loaded_model import coder_of
from taesd_stream.engine.options import TileOptions
from taesd_stream.engine.streams.clip import Clip
from taesd_stream.models.latent_spaces import Convention

__all__ = ["Clips"]


class Clips:
    """Decodes frames, (n, C, h, w), of clips that lie one after the other in one tensor.

    Pipelines slice such a tensor: what begins in memory where the last slice has ended goes on from
    it, and anything else begins a clip.

    Args:
        model: Makes a frame of every latent, and remembers those before.
        options: How latents are cut into tiles.
        length: Frames of each clip; None where a tensor is one clip.
        convention: The scale of the latents.
    """

    def __init__(
        self,
        model: AutoEncoder,
        options: TileOptions,
        length: int | None,
        convention: Convention = "model",
    ) -> None:
        self._coder, self._options, self._length = coder_of(model, "decode"), options, length
        self._scale = self._coder.scale(convention)
        self._clip: Clip | None = None
        self._last: Tensor | None = None  # held, so that nothing else can lie in its place
        self._seen = 0

    def decode(self, latents: Tensor) -> list[Tensor]:
        """The frames of some latents, (n, 3, H, W) in [0, 1], each clip's apart."""
        if not self._goes_on_with(latents):
            self._begin()
        made = []
        rest = latents
        while rest.shape[0]:
            if self._clip is None:
                self._clip, self._seen = Clip(self._coder, self._options), 0
            left = rest.shape[0] if self._length is None else self._length - self._seen
            part, rest = rest[:left], rest[left:]
            made.append(self._clip.decode(self._scale.to_network(part)))
            self._seen += part.shape[0]
            if self._seen == self._length:
                self._clip = None
        self._last = latents if _ends_before_its_tensor(latents) else None
        if self._last is None:
            self._clip = None
        return made

    def _begin(self) -> None:
        self._clip, self._last = None, None

    def _goes_on_with(self, latents: Tensor) -> bool:
        last = self._last
        if (
            last is None
            or latents.untyped_storage().data_ptr() != last.untyped_storage().data_ptr()
        ):
            return False
        return latents.storage_offset() == last.storage_offset() + last.shape[0] * last.stride(0)


def _ends_before_its_tensor(latents: Tensor) -> bool:
    """Whether what it is a slice of has more latents behind it."""
    end = (latents.storage_offset() + latents.numel()) * latents.element_size()
    return end < latents.untyped_storage().nbytes()
