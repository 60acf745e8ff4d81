"""Running commands in this process, and what they are run on."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from taesd_stream.cli.main import main
from taesd_stream.models import variant_named


@dataclass(frozen=True)
class Outcome:
    """The words that a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The last line on standard error, if the command failed as it should."""
        assert "Traceback" not in self.err
        assert self.out == ""
        last = self.err.rstrip("\n").rpartition("\n")[2]
        assert re.match(r"taesd-video( \w+)?: \S", last), self.err
        return last


@pytest.fixture
def command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Outcome]:
    """Call it with a command's words; relative paths are in ``tmp_path``, the cache is empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAESD_STREAM_CACHE", str(tmp_path.parent / f"{tmp_path.name}-no-cache"))

    def run(*words: object) -> Outcome:
        capfd.readouterr()
        try:
            status = main([str(word) for word in words])
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capfd.readouterr()
        return Outcome(status, out, err)

    return run


@pytest.fixture
def clip() -> torch.Tensor:
    """Ten latents of Stable Diffusion 1 in slow motion, (10, 4, 6, 8): 64x48 pixels."""
    t = torch.arange(10.0)[:, None, None, None]
    c = torch.arange(4.0)[None, :, None, None]
    y = torch.linspace(0, 1, 6)[None, None, :, None]
    x = torch.linspace(0, 1, 8)[None, None, None, :]
    return torch.sin(c + 2 * y + x + t * math.tau / 20)


@pytest.fixture
def clip_file(clip: torch.Tensor, tmp_path: Path) -> Path:
    """The same in a file that torch saved."""
    torch.save(clip, tmp_path / "clip.pt")
    return Path("clip.pt")


@pytest.fixture(scope="session")
def random_taesd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights that have TAESD's shapes, encoder and decoder, and mean nothing."""
    folder = tmp_path_factory.mktemp("weights")
    variant = variant_named("taesd")
    torch.manual_seed(0)
    assert variant.encoder is not None
    for half, network in (("encoder", variant.encoder()), ("decoder", variant.decoder())):
        weights = {name: torch.randn(shape) / 20 for name, shape in network.shapes().items()}
        torch.save(weights, folder / f"taesd_{half}.pth")
    return folder


@pytest.fixture(scope="session")
def video_weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``video_weights(name)``: a file of weights of a video model's shapes that mean nothing."""
    folder = tmp_path_factory.mktemp("video-weights")

    def get(name: str) -> Path:
        path = folder / f"{name}.safetensors"
        if path.exists():
            return path
        variant = variant_named(name)
        generator = torch.Generator().manual_seed(0)
        assert variant.encoder is not None
        save_file(
            {
                f"{half}.{key}": torch.randn(shape, generator=generator) / 30
                for half, make in (("encoder", variant.encoder), ("decoder", variant.decoder))
                for key, shape in make().shapes().items()
            },
            path,
        )
        return path

    return get
