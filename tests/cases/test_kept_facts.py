"""Rate, size and convention of what was encoded: files keep them, and decoding goes by them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors.torch import load_file

import taesd_stream as ts
from taesd_stream.cli.main import main
from taesd_stream.engine.load import outline
from taesd_stream.engine.options import ModelOptions
from taesd_stream.jobs.decoding import plan_for
from taesd_stream.jobs.decoding_defaults import with_rate_of
from taesd_stream.jobs.encoding import encode_file
from taesd_stream.jobs.output import Output
from taesd_stream.latents import open_latents, save_latents
from tests.engine.conftest import Models
from tiling import Size
from video import VideoWriter

RATE = Fraction(30_000, 1001)
WIDTH, HEIGHT, FRAMES = 63, 47, 3
KEEPING = [".safetensors", ".pt", ".pth", ".latent"]
NANO = ("--model", "nano", "--backend", "torch")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """63x47 pixels at 30000/1001 frames per second; red goes up to the right."""
    path = tmp_path_factory.mktemp("clip") / "clip.webm"
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., 0] = np.linspace(30, 220, WIDTH)
    with VideoWriter(path, width=WIDTH, height=HEIGHT, rate=RATE) as writer:
        for _ in range(FRAMES):
            writer.write(picture)
    return path


def encoded(clip: Path, out: Path, *options: str) -> Path:
    assert main(["encode", str(clip), str(out), *NANO, *options]) == 0
    return out


def decoded(latents: Path, out: Path, *options: str) -> Path:
    assert main(["decode", str(latents), str(out), *NANO, *options]) == 0
    return out


def rate_and_size(path: Path) -> tuple[Fraction, int, int]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate is not None
        # Matroska counts nanoseconds for a frame.
        return stream.average_rate.limit_denominator(1001), stream.width, stream.height


@pytest.mark.parametrize("suffix", KEEPING)
def test_a_clip_comes_back_at_its_rate_and_size(tmp_path: Path, clip: Path, suffix: str) -> None:
    latents = encoded(clip, tmp_path / f"a{suffix}")
    out = decoded(latents, tmp_path / "a.webm")
    assert rate_and_size(out) == (RATE, WIDTH, HEIGHT)
    with open_latents(latents) as source:
        assert source.metadata.frames_per_second == RATE
        assert source.metadata.size == (HEIGHT, WIDTH)


def test_what_is_asked_for_goes_before_what_is_kept(tmp_path: Path, clip: Path) -> None:
    latents = encoded(clip, tmp_path / "a.safetensors")
    out = decoded(latents, tmp_path / "a.webm", "--fps", "12", "--crop", "8,0,40,32")
    assert rate_and_size(out) == (12, 40, 32)


def test_a_picture_is_the_corner_of_the_padded_one(tmp_path: Path, clip: Path) -> None:
    latents = encoded(clip, tmp_path / "a.safetensors", "--frames", "0")
    padded = decoded(latents, tmp_path / "padded.png", "--crop", "0,0,64,48")
    expected = np.asarray(Image.open(padded))[:HEIGHT, :WIDTH]
    still = decoded(latents, tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(still)), expected)
    bands = decoded(latents, tmp_path / "a.tif", "--tile", "4")
    assert np.array_equal(tifffile.imread(bands), expected)
    assert plan_for(latents, model="nano").pixels == Size(HEIGHT, WIDTH)


def test_a_run_that_goes_on_has_the_same_size(tmp_path: Path, clip: Path) -> None:
    latents = encoded(clip, tmp_path / "a.safetensors")
    out = decoded(latents, tmp_path / "a.webm", "--resume")
    assert rate_and_size(out) == (RATE, WIDTH, HEIGHT)
    assert main(["decode", str(latents), str(out), *NANO, "--resume"]) == 0


def test_blended_tiles_say_that_they_are_not_cropped(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latents = encoded(clip, tmp_path / "a.safetensors", "--frames", "0")
    decoded(latents, tmp_path / "a.png", "--tile", "4", "--overlap", "1")
    assert "63x47 pixels, and blended tiles are not cropped" in capsys.readouterr().err


def test_fewer_frames_of_a_video_last_as_long(tmp_path: Path, model: Models) -> None:
    latents = {"latents": torch.randn(3, 16, 4, 4), "frames_per_second": "16"}
    torch.save(latents, tmp_path / "video.pt")
    state = model("taehv")
    assert ts.render(tmp_path / "video.pt", tmp_path / "a.mkv", model=state).rate == 16
    cut = ts.render(
        tmp_path / "video.pt", tmp_path / "b.mkv", model=state, frames=slice(0, None, 2)
    )
    assert cut.rate == 8
    preview = outline("taehv", ModelOptions(time_upscale=False))
    with open_latents(tmp_path / "video.pt") as source:
        assert with_rate_of(Output("a.mp4"), source, preview, None).rate == 4


def test_pictures_have_no_rate(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "0.png")
    encode_file(tmp_path / "0.png", tmp_path / "a.safetensors", model="nano")
    assert open_latents(tmp_path / "a.safetensors").metadata.frames_per_second is None


def test_numpy_files_keep_numbers_only_and_that_is_said(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latents = encoded(clip, tmp_path / "a.npy", "--convention", "vae")
    said = capsys.readouterr().err
    options = ["--fps", "30000/1001", "--crop", "0,0,63,47", "--convention", "vae"]
    assert " ".join(options) in said
    assert rate_and_size(decoded(latents, tmp_path / "a.webm", *options)) == (RATE, WIDTH, HEIGHT)


def test_sizes_that_do_not_belong_to_the_latents_are_left(tmp_path: Path) -> None:
    torch.save({"latents": torch.zeros(1, 4, 4, 4), "pixels": "900x7"}, tmp_path / "a.pt")
    assert ts.render(tmp_path / "a.pt", tmp_path / "a.png", model="nano").width == 32


def test_comfyui_loads_pictures_in_the_full_scale(tmp_path: Path, clip: Path) -> None:
    latents = encoded(clip, tmp_path / "a.latent")
    plain = encoded(clip, tmp_path / "a.safetensors")
    # As LoadLatent in ComfyUI's nodes.py: scaled by 1 / 0.18215 only without the marker.
    content = load_file(latents)
    assert content["latent_format_version_0"].numel() == 0
    samples = content["latent_tensor"].float()
    assert samples.shape == (FRAMES, 4, 6, 8)
    torch.testing.assert_close(samples, load_file(plain)["latents"] / 0.18215)
    pictures = [decoded(each, tmp_path / f"{each.suffix[1:]}.npy") for each in (latents, plain)]
    difference = np.load(pictures[0]).astype(int) - np.load(pictures[1])
    assert np.abs(difference).max() <= 1


def test_comfyui_has_videos_on_five_axes(tmp_path: Path, model: Models) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(9):
        Image.new("RGB", (32, 24), (20 * number, 90, 30)).save(frames / f"{number}.png")
    video = model("taehv")
    made = {}
    for suffix in (".latent", ".safetensors"):
        encode_file(frames, tmp_path / f"a{suffix}", model=video, convention="vae")
        made[suffix] = load_file(tmp_path / f"a{suffix}")
    stack = made[".safetensors"]["latents"]
    assert torch.equal(made[".latent"]["latent_tensor"], stack.movedim(0, 1)[None])
    with open_latents(tmp_path / "a.latent", channels=16) as source:
        assert source.convention == "vae"
        assert torch.equal(source[:], stack)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_torch_loads_its_files_safely(tmp_path: Path, dtype: torch.dtype) -> None:
    latents = torch.randn(5, 4, 6, 8).to(dtype)
    save_latents(tmp_path / "a.pt", open_latents(latents, convention="vae"))
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    assert torch.equal(content["latents"], latents)
    assert content["convention"] == "vae"
    with open_latents(tmp_path / "a.pt") as source:
        assert source.convention == "vae"
        assert torch.equal(source[:], latents)
    assert [each.name for each in tmp_path.iterdir()] == ["a.pt"]


def test_saving_keeps_what_is_known(tmp_path: Path, clip: Path) -> None:
    first = encoded(clip, tmp_path / "a.latent")
    for suffix in (".safetensors", ".latent", ".pt"):
        with open_latents(first) as source:
            save_latents(tmp_path / f"b{suffix}", source)
            known = source.metadata
        assert open_latents(tmp_path / f"b{suffix}").metadata == known


def test_a_latent_file_has_but_one_scale(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "a.latent")
    assert main(["encode", str(clip), out, *NANO, "--convention", "model"]) == 2
    assert "expected vae for .latent" in capsys.readouterr().err
    with pytest.raises(ts.InputError, match="convention vae"):
        save_latents(out, torch.zeros(1, 4, 8, 8))
    with pytest.raises(ts.InputError, match=r"one video for .*, found 2"):
        save_latents(out, open_latents(torch.zeros(2, 48, 3, 4, 4), convention="vae"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".pt", ".latent"])
def test_an_error_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    def broken():
        yield torch.zeros(4, 8, 8)
        raise RuntimeError("broken")

    source = open_latents(broken(), convention="vae")
    with pytest.raises(RuntimeError, match="broken"):
        save_latents(tmp_path / f"a{suffix}", source)
    assert list(tmp_path.iterdir()) == []
