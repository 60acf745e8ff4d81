"""What pipelines of diffusers return, decoded into files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("transformers", reason="diffusers' pipelines need transformers")

import diffusers
from diffusers.pipelines.animatediff import AnimateDiffPipelineOutput
from diffusers.pipelines.cogvideo.pipeline_output import CogVideoXPipelineOutput
from diffusers.pipelines.flux.pipeline_output import FluxPipelineOutput
from diffusers.pipelines.flux2.pipeline_output import Flux2PipelineOutput
from diffusers.pipelines.kandinsky5.pipeline_output import KandinskyPipelineOutput
from diffusers.pipelines.stable_diffusion import StableDiffusionPipelineOutput
from diffusers.pipelines.stable_video_diffusion import StableVideoDiffusionPipelineOutput
from diffusers.pipelines.wan.pipeline_output import WanPipelineOutput

import taesd_stream as ts
from taesd_stream.diffusers import TiledVAE
from taesd_stream.diffusers.pipeline_latents import returned
from taesd_stream.engine.pixels import to_array, to_bytes
from taesd_stream.models import variant_named
from taesd_stream.models.vae_figures import space_of_vae
from tests.engine.conftest import model_named, weights_of
from tests.hosts import tiny_pipelines as tiny
from video import VideoReader

render = ts.diffusers.render

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:In CPU autocast")


def some(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def frames_of(video: Tensor) -> np.ndarray[Any, Any]:
    """(T, H, W, 3) bytes of (T, 3, H, W) in [0, 1]."""
    return np.stack([to_array(to_bytes(frame)) for frame in video])


def assert_file(path: Path, expected: Tensor) -> None:
    """The bytes of a file, but for numbers that lie between two."""
    made = np.load(path).astype(int)
    wanted = frames_of(expected).reshape(made.shape).astype(int)
    assert np.abs(made - wanted).max() <= 1
    assert wanted.std() > 5, "there is something to see"


@pytest.mark.parametrize("name", ["taesd", "taesdv"])
def test_animate_lcm_goes_into_a_file(name: str, tmp_path: Path) -> None:
    ae = model_named(name)
    pipeline = tiny.animate_lcm(TiledVAE(ae, tile=2))
    pipeline.words["prompt_embeds"] = torch.cat([torch.ones(1, 5, 32), -torch.ones(1, 5, 32)])
    output = pipeline.pipe(
        **pipeline.words,
        num_inference_steps=2,
        output_type="latent",
        generator=torch.Generator().manual_seed(1),
    )
    assert isinstance(output, AnimateDiffPipelineOutput)
    clips = ae.decode(output.frames.transpose(1, 2), tile=None)
    made = render(output.frames[1:], tmp_path / "one.mp4", pipe=pipeline.pipe, fps=8)
    with VideoReader(made.path) as reader:
        assert (len(list(reader)), reader.rate) == (5, 8)
    assert (made.frames, made.rate, made.width, made.height) == (5, 8, 48, 32)
    both = render(output, tmp_path / "both.npy", pipe=pipeline.pipe)
    assert (both.frames, both.path.name) == (10, "both_%d.npy")
    for number, clip in enumerate(clips, start=1):
        assert_file(tmp_path / f"both_{number}.npy", clip)
    (tmp_path / "both_1.npy").unlink()
    with pytest.raises(ts.OutputExistsError, match="both_2"):
        render(output, tmp_path / "both.npy", pipe=pipeline.pipe)
    assert not (tmp_path / "both_1.npy").exists()
    render(output, tmp_path / "%d.png", pipe=pipeline.pipe)
    assert len(list(tmp_path.glob("*.png"))) == 10


@pytest.mark.parametrize(
    ("output", "layout"),
    [
        (AnimateDiffPipelineOutput, "NCTHW"),
        (WanPipelineOutput, "NCTHW"),
        (StableVideoDiffusionPipelineOutput, "NTCHW"),
        (CogVideoXPipelineOutput, "NTCHW"),
        (KandinskyPipelineOutput, "NTHWC"),
    ],
)
def test_axes_are_those_of_the_pipeline_that_returned_them(output: Any, layout: str) -> None:
    latents = some(1, 4, 4, 4, 4)  # Which can be read in all three ways.
    kind = type(f"Own{output.__name__}", (output,), {})
    for each in (output(frames=latents), kind(frames=latents)):
        assert returned(each).layout == layout
    pipe = pipeline_of(output.__name__.removesuffix("Output"), None)
    if layout != "NCTHW":
        assert returned(latents, pipe).layout == layout
        assert returned((latents,), type("Derived", (type(pipe),), {})()).layout == layout
    assert returned(latents, pipeline_of("Mine", None)).layout is None


def test_time_before_channels_is_decoded_so(tmp_path: Path) -> None:
    ae, latents = model_named("taesd"), some(1, 4, 4, 2, 3)
    render(StableVideoDiffusionPipelineOutput(frames=latents), tmp_path / "a.npy", model=ae)
    assert_file(tmp_path / "a.npy", ae.decode(latents[0]))


def test_pictures_of_a_batch_are_no_video(tmp_path: Path) -> None:
    ae, latents = model_named("taesdv"), some(3, 4, 2, 3)
    output = StableDiffusionPipelineOutput(images=latents, nsfw_content_detected=None)
    render(output, tmp_path / "a.npy", model=ae)
    assert_file(tmp_path / "a.npy", ae.decode(latents))


@pytest.mark.parametrize(
    ("tokens", "words", "size"),
    [
        (24, {"height": 64, "width": 96}, (64, 96)),
        (16, {}, (64, 64)),
        (24, {}, None),
        (24, {"height": 64, "width": 64}, None),
    ],
)
def test_packed_latents_need_the_size_they_were_made_with(
    tokens: int, words: dict[str, int], size: tuple[int, int] | None, tmp_path: Path
) -> None:
    ae, latents = model_named("taef1"), some(1, tokens, 64)
    output = FluxPipelineOutput(latents)
    if size is None:
        with pytest.raises(ts.LayoutError, match=f"height= and width= .* for {tokens} tokens"):
            render(output, tmp_path / "a.npy", model=ae, **words)
        return
    render(output, tmp_path / "a.npy", model=ae, **words)
    assert_file(tmp_path / "a.npy", ae.decode(latents, size=size))


class FullVAE(nn.Module):
    """The figures of a full VAE, as diffusers' modules hold them."""

    def __init__(self, config: dict[str, Any], **buffers: Tensor) -> None:
        super().__init__()
        self.config = config
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)


def pipeline_of(kind: str, vae: object, **more: object) -> Any:
    pipe = type(kind, (), {})()
    vars(pipe).update(vae=vae, **more)
    return pipe


def test_latents_in_the_full_vaes_scale_are_brought_back() -> None:
    latents, mean, deviation = some(1, 128, 2, 1, 2), some(128), some(128).abs() + 0.5
    vae = FullVAE({"scaling_factor": 0.5}, latents_mean=mean, latents_std=deviation)
    axes = (1, 128, 1, 1, 1)
    given = latents * deviation.view(axes) / 0.5 + mean.view(axes)  # pipeline_ltx2.py
    found = returned(given, pipeline_of("LTX2ImageToVideoPipeline", vae))
    assert (found.convention, found.vae) == ("vae", vae)
    space = space_of_vae(vae, variant_named("taeltx_2").space)
    torch.testing.assert_close(space.converted(given[0, :, 0], "model"), latents[0, :, 0])
    # By the figures of a TiledVAE the pipeline changes nothing.
    tiny_vae = TiledVAE("latent2rgb", device="cpu")
    assert returned(latents, pipeline_of("LTX2Pipeline", tiny_vae)).convention == "model"


def test_latents_of_klein_are_brought_back_by_the_batch_norm_of_their_vae(tmp_path: Path) -> None:
    ae, patches = model_named("taef2"), some(1, 128, 2, 3)
    mean, variance = some(128), some(128).abs() + 0.5
    vae = FullVAE({"batch_norm_eps": 0.25, "latent_channels": 32})
    vae.bn = nn.BatchNorm2d(128, affine=False)
    vae.bn.running_mean, vae.bn.running_var = mean, variance
    scaled = patches * torch.sqrt(variance + 0.25).view(1, -1, 1, 1) + mean.view(1, -1, 1, 1)
    output = Flux2PipelineOutput(images=nn.functional.pixel_shuffle(scaled, 2))
    pipe = pipeline_of("Flux2KleinKVPipeline", vae)
    render(output, tmp_path / "a.npy", pipe=pipe, model=weights_of("taef2"), variant="taef2")
    assert_file(tmp_path / "a.npy", ae.decode(nn.functional.pixel_shuffle(patches, 2)))
    assert returned(output).convention == "vae"


@pytest.mark.parametrize(
    ("vae", "axes", "name"),
    [
        ({"latent_channels": 4, "scaling_factor": 0.18215}, 4, "taesd"),
        ({"latent_channels": 4, "scaling_factor": 0.18215}, 5, "taesdv"),
        ({"latent_channels": 4, "scaling_factor": 0.13025}, 5, "taesdxl"),
        ({"latent_channels": 16, "scaling_factor": 1.5305, "shift_factor": 0.0609}, 4, "taesd3"),
        ({"latent_channels": 16, "scaling_factor": 0.3611, "shift_factor": 0.1159}, 3, "taef1"),
        ({"latent_channels": 16, "scaling_factor": 0.476986}, 5, "taehv"),
        ({"latent_channels": 16, "scaling_factor": 0.7}, 5, "taecvx"),
        (diffusers.AutoencoderKLWan, 5, "taew2_1"),
        (diffusers.AutoencoderKLQwenImage, 3, "taew2_1"),
        (diffusers.AutoencoderKLMochi, 5, "taem1"),
        (diffusers.AutoencoderKLTemporalDecoder, 5, "taesdv"),
    ],
)
def test_the_figures_of_a_pipelines_vae_tell_the_model(vae: Any, axes: int, name: str) -> None:
    with torch.device("meta"):
        full = FullVAE(vae) if isinstance(vae, dict) else vae()
    latents = torch.empty((1,) * axes)
    assert returned(latents, pipeline_of("SomePipeline", full)).model() == name


def test_a_vae_that_tells_no_model_is_named_with_what_may_fit(tmp_path: Path) -> None:
    vae = FullVAE({"latent_channels": 16, "scaling_factor": 1.15258426})
    pipe = pipeline_of("SomePipeline", vae)
    told = r"found FullVAE in SomePipeline; give model=; for 16 channels: .*taecvx \(CogVideoX\)"
    with pytest.raises(ts.InputError, match=told):
        render(some(1, 16, 3, 2, 2), tmp_path / "a.mp4", pipe=pipe)
    with pytest.raises(ts.InputError, match="expected pipe= or model="):
        render(some(1, 4, 3, 2, 2), tmp_path / "a.mp4")
    tiny_vae = diffusers.AutoencoderTiny()
    assert returned(some(1, 4, 2, 2), pipeline_of("SomePipeline", tiny_vae)).model() is tiny_vae


@pytest.mark.parametrize(
    "pictures",
    [
        [PIL.Image.new("RGB", (8, 8))],
        [[PIL.Image.new("RGB", (8, 8))] * 2],
        np.zeros((1, 2, 16, 16, 3), np.float32),
        torch.zeros(1, 2, 3, 16, 16),
        torch.zeros(2, 3, 16, 16),
    ],
)
def test_pictures_are_no_latents(pictures: Any, tmp_path: Path) -> None:
    pipe = pipeline_of("SomePipeline", TiledVAE("latent2rgb", device="cpu"))
    for output in (AnimateDiffPipelineOutput(frames=pictures), (pictures,)):
        with pytest.raises(ts.LatentsError, match=r"call it with output_type='latent'"):
            render(output, tmp_path / "a.mp4", pipe=pipe)
    assert list(tmp_path.iterdir()) == []


def test_the_padding_of_cogvideox_1_5_is_left_out() -> None:
    transformer = SimpleNamespace(config={"patch_size_t": 2, "sample_frames": 81})
    words: dict[str, Any] = {"transformer": transformer, "vae_scale_factor_temporal": 4}
    pipe = pipeline_of("CogVideoXPipeline", None, **words)
    assert [returned(some(1, count, 16, 1, 1), pipe).padding() for count in (21, 22)] == [0, 1]
    words["transformer"] = SimpleNamespace(config={"patch_size_t": None, "sample_frames": 49})
    pipe = pipeline_of("CogVideoXPipeline", None, **words)
    assert returned(some(1, 13, 16, 1, 1), pipe).padding() == 0


def test_one_side_alone_is_no_size(tmp_path: Path) -> None:
    with pytest.raises(ts.InputError, match="expected both height= and width="):
        render(some(1, 16, 64), tmp_path / "a.png", model=model_named("taef1"), height=64)
