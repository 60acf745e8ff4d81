"""The engine inside pipelines of diffusers.

>>> from taesd_stream.diffusers import TiledVAE
>>> TiledVAE("latent2rgb", device="cpu").config.block_out_channels
(64, 64, 64, 64)
"""

from taesd_stream.errors import MissingExtraError

try:
    import diffusers as _diffusers  # noqa: F401
except ImportError as error:
    raise MissingExtraError(
        "diffusers is not installed; pip install 'taesd-stream[diffusers]'"
    ) from error

from taesd_stream.diffusers.preview import Preview
from taesd_stream.diffusers.rendering import render
from taesd_stream.diffusers.steps import Steps, steps
from taesd_stream.diffusers.tiled_vae import TiledVAE

__all__ = ["Preview", "Steps", "TiledVAE", "render", "steps"]
