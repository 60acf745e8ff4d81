"""The full VAEs' files on the Hugging Face hub: at which revision, and what they have to be.

Sources of the checksums: manifests of public repositories that pin the same revisions and files,
and the hub's pages of their copies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taesd_stream.errors import DownloadError

__all__ = ["PINNED", "PinnedFile"]

_READ_BYTES: Final = 2**20
_IN_VAE: Final = "vae/diffusion_pytorch_model.safetensors"
_IN_ROOT: Final = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """The weights of one repository.

    Attributes:
        revision: The commit that they are taken of.
        path: Where they lie in it.
        sha256: Of their content; None where nobody published it, and the revision has to do.
    """

    revision: str
    path: str
    sha256: str | None

    def check(self, folder: Path) -> None:
        """Refuse other content than was published.

        Args:
            folder: Of the snapshot.

        Raises:
            DownloadError: It is another, or is not there.
        """
        if self.sha256 is None:
            return
        path = folder / self.path
        try:
            with path.open("rb") as stream:
                digest = hashlib.sha256()
                while block := stream.read(_READ_BYTES):
                    digest.update(block)
        except OSError as error:
            raise DownloadError(
                f"{path}: expected the downloaded weights, found none that can be read ({error});"
                " try again"
            ) from error
        if digest.hexdigest() != self.sha256:
            raise DownloadError(
                f"{path}: expected sha256 {self.sha256}, found {digest.hexdigest()}; this is not"
                " what was published: remove it and try again, or give its path to use it all the"
                " same"
            )


PINNED: Final[Mapping[str, PinnedFile]] = {
    "stabilityai/sd-vae-ft-mse": PinnedFile(
        "31f26fdeee1355a5c34592e401dd41e45d25a493",
        _IN_ROOT,
        "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
    ),
    "madebyollin/sdxl-vae-fp16-fix": PinnedFile(
        "207b116dae70ace3637169f1ddd2434b91b3a8cd",
        _IN_ROOT,
        "1b909373b28f2137098b0fd9dbc6f97f8410854f31f84ddc9fa04b077b0ace2c",
    ),
    "stabilityai/sdxl-vae": PinnedFile(
        "6f5909a7e596173e25d4e97b07fd19cdf9611c76",
        _IN_ROOT,
        "1598f3d24932bcfe6634e8b618ea1e30ab1d57f5aad13a6d2de446d2199f2341",
    ),
    "stabilityai/stable-diffusion-3-medium-diffusers": PinnedFile(
        "ea42f8cef0f178587cf766dc8129abd379c90671",
        _IN_VAE,
        "f9b67a279283625caee39d61eacb5324243848477b4eb535355eaaa8423d4e09",
    ),
    "black-forest-labs/FLUX.1-schnell": PinnedFile(
        "741f7c3ce8b383c54771c7003378a50191e9efe9",
        _IN_VAE,
        "f5b59a26851551b67ae1fe58d32e76486e1e812def4696a4bea97f16604d40a3",
    ),
    "openai/consistency-decoder": PinnedFile(
        "63b7a48896d92b6f56772f4111d0860b1bee3dd3", _IN_ROOT, None
    ),
}
"""By the names of their repositories."""
