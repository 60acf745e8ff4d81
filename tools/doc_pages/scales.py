"""The table of the two scales of latents, from the spaces of the variants."""

from __future__ import annotations

from urllib.parse import urlparse

from doc_pages.markdown import code_list, table
from taesd_stream.models import VARIANTS
from taesd_stream.models.latent_spaces import LatentSpace

__all__ = ["scales"]


def scales() -> str:
    """What the full VAE's latents are of the diffusion model's, and where that is published."""
    spaces: dict[LatentSpace, list[str]] = {}
    for variant in VARIANTS:
        spaces.setdefault(variant.space, []).append(variant.name)
    return table(
        ["latents of", "models", "the full VAE's latents", "published"],
        (
            [space.name, code_list(names), _formula(space), _source(space)]
            for space, names in spaces.items()
        ),
    )


def _formula(space: LatentSpace) -> str:
    """``z`` are the diffusion model's."""
    if not space.deviation:
        return "give them with `--vae`"
    if len(space.deviation) > 1:
        of = "channel" if len(space.deviation) == space.channels else "channel of 2x2 patches"
        return f"z * deviation + mean, for each {of}"
    (deviation,), (mean,) = space.deviation, space.mean
    return f"z / {1 / deviation:.6g}" + (f" + {mean:g}" if mean else "")


def _source(space: LatentSpace) -> str:
    if not space.source.startswith("https://"):
        return space.source
    return f"[{urlparse(space.source).path.rpartition('/')[2]}]({space.source})"
