"""Nodes run as ComfyUI runs them, on a stand-in for it."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

import taesd_stream as ts
from tests.cases.official_weights import official
from tests.comfyui.stand_in import ComfyUI, InterruptProcessingException
from video import open_reader

SD1 = 0.18215


def samples(*shape: int) -> torch.Tensor:
    """Latents in the scale of the full VAE, as LATENT has them."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) / SD1


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def load(nodes: ModuleType) -> Callable[..., Any]:
    def load(model: str = "latent2rgb", **options: str) -> Any:
        (vae,) = nodes.LoadTinyVAE.execute(model, **options).args
        return vae

    return load


def pictures(latents: torch.Tensor) -> torch.Tensor:
    """What ``latent2rgb`` makes of SD 1's samples, (T, H, W, 3) in [0, 1]."""
    return ts.load("latent2rgb", device="cpu").decode(latents * SD1).movedim(1, -1)


def to_video(nodes: ModuleType, vae: Any, latents: torch.Tensor, **options: Any) -> Any:
    given = {"fps": 24.0, "filename_prefix": "video/clip", "container": "mkv", "codec": "ffv1"}
    return nodes.DecodeToVideo.execute(samples={"samples": latents}, vae=vae, **given | options)


def test_decode_is_exact_and_shows_how_far_it_is(comfyui: ComfyUI, nodes: ModuleType, load) -> None:
    latents = samples(2, 4, 9, 7)
    made = nodes.DecodeExactTiles.execute({"samples": latents}, load("nano"), "2MiB")
    (image,) = made.args
    expected = ts.load("nano", device="cpu").decode(latents * SD1, tile=None).movedim(1, -1)
    torch.testing.assert_close(image, expected, atol=1e-5, rtol=0)
    shown = [value for value, total in comfyui.shown if total == 1000]
    assert len(shown) > 2
    assert shown == sorted(shown)
    assert shown[-1] == 1000


def test_a_batch_of_a_model_that_remembers_is_a_clip(
    comfyui: ComfyUI, nodes: ModuleType, load
) -> None:
    state = official("taesdv")
    torch.save(state, comfyui.vae_approx / "taesdv_decoder.pth")
    vae = load("vae_approx/taesdv_decoder.pth")
    latents = samples(3, 4, 2, 2)
    clip = ts.load(state, device="cpu").decode(latents[None] * SD1)[0].movedim(1, -1)
    for given in (latents, latents.transpose(0, 1)[None]):
        (image,) = nodes.DecodeExactTiles.execute({"samples": given}, vae).args
        torch.testing.assert_close(image, clip)


def test_of_video_with_sound_the_video_is_decoded(nodes: ModuleType, load, caplog) -> None:
    class Nested:
        is_nested = True

        def unbind(self) -> list[torch.Tensor]:
            return [samples(1, 4, 2, 2), torch.zeros(1, 8, 5)]

    with caplog.at_level("INFO", logger="taesd_stream"):
        made = nodes.DecodeExactTiles.execute({"samples": Nested()}, load())
    torch.testing.assert_close(made.args[0], pictures(samples(1, 4, 2, 2)))
    assert "the first of 2 latents" in caplog.text


@pytest.mark.parametrize("as_clip", [False, True])
def test_a_video_goes_to_a_file_with_its_preview(
    comfyui: ComfyUI, nodes: ModuleType, load, as_clip: bool
) -> None:
    latents = samples(5, 4, 2, 3)
    given = latents.transpose(0, 1)[None] if as_clip else latents
    made = to_video(nodes, load(), given, fps=23.976)
    file = comfyui.output / "video" / "clip_00001_.mkv"
    assert [each.file for each in made.args] == [str(file)]
    assert made.ui.values == [
        {"filename": "clip_00001_.mkv", "subfolder": "video", "type": "output"}
    ]
    with open_reader(file) as reader:
        assert str(reader.rate) == "24000/1001"
        frames = np.stack([frame.image for frame in reader])
    expected = pictures(latents).mul(255).round().byte().numpy()
    assert np.abs(frames.astype(int) - expected).max() <= 1
    assert comfyui.shown[-1] == (1000, 1000)
    to_video(nodes, load(), given)
    assert sorted(each.name for each in file.parent.iterdir()) == [file.name, "clip_00002_.mkv"]


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_video_says_how_it_was_made(
    comfyui: ComfyUI, nodes: ModuleType, load, monkeypatch: pytest.MonkeyPatch, container: str
) -> None:
    prompt, workflow = {"7": {"class_type": "a"}}, {"nodes": [{"id": 7, "title": "a \u00fc = ; #"}]}
    hidden = SimpleNamespace(prompt=prompt, extra_pnginfo={"workflow": workflow})
    monkeypatch.setattr(nodes.DecodeToVideo, "hidden", hidden)
    for is_kept in (True, False):
        comfyui.args.disable_metadata = not is_kept
        made = to_video(nodes, load(), samples(2, 4, 2, 2), container=container, codec="auto")
        with av.open(made.args[0].file) as file:
            said = {name.lower(): text for name, text in file.metadata.items()}
        assert ("prompt" in said, "workflow" in said) == (is_kept, is_kept)
        if is_kept:
            assert json.loads(said["prompt"]) == prompt
            assert json.loads(said["workflow"]) == workflow


def test_clips_of_a_batch_are_one_after_the_other(
    comfyui: ComfyUI, nodes: ModuleType, load
) -> None:
    state = official("taesdv")
    torch.save(state, comfyui.vae_approx / "taesdv.pth")
    clips = samples(2, 4, 2, 2, 2)
    made = to_video(nodes, load("vae_approx/taesdv.pth"), clips)
    with open_reader(made.args[0].file) as reader:
        frames = np.stack([frame.image for frame in reader])
    ae = ts.load(state, device="cpu")
    expected = ae.decode(clips.transpose(1, 2) * SD1).movedim(2, -1).flatten(0, 1)
    assert np.abs(frames.astype(int) - expected.mul(255).round().numpy()).max() <= 1


def test_sound_goes_along(comfyui: ComfyUI, nodes: ModuleType, load) -> None:
    tone = torch.sin(torch.arange(16000) * 440 * 2 * torch.pi / 16000)
    audio = {"waveform": torch.stack([tone, -tone])[None], "sample_rate": 16000}
    made = to_video(nodes, load(), samples(6, 4, 2, 2), fps=6.0, audio=audio)
    with av.open(made.args[0].file) as file:
        sound = np.concatenate([each.to_ndarray() for each in file.decode(audio=0)], axis=1)
        rate = file.streams.audio[0].rate
    left, right = sound.reshape(-1, 2).T / 32767
    assert abs(left.size / rate - 1) < 0.1
    np.testing.assert_allclose(left, -right, atol=0.05)
    assert abs(np.fft.rfft(left[:rate]).__abs__().argmax() - 440) <= 1


def test_frames_are_saved_into_a_new_folder(comfyui: ComfyUI, nodes: ModuleType, load) -> None:
    latents = samples(3, 4, 2, 3)
    for number in (1, 2):
        made = nodes.SaveFrames.execute({"samples": latents}, load(), "frames/%width%")
        folder = comfyui.output / "frames" / f"24_0000{number}_"
        names = ["00000.png", "00001.png", "00002.png"]
        assert sorted(each.name for each in folder.iterdir()) == names
        shown = [(each["subfolder"], each["filename"]) for each in made.ui.results]
        assert shown == [(f"frames/24_0000{number}_", name) for name in names]
    last = pictures(latents)[2].mul(255).round().byte().numpy()
    assert np.abs(pixels(folder / "00002.png").astype(int) - last).max() <= 1


def test_names_may_hold_dots_and_no_other_percent(
    comfyui: ComfyUI, nodes: ModuleType, load
) -> None:
    latents = {"samples": samples(1, 4, 2, 2)}
    nodes.SaveFrames.execute(latents, load(), "a.b")
    assert [each.name for each in comfyui.output.rglob("*.png")] == ["00000.png"]
    with pytest.raises(ts.InputError, match="filename_prefix: expected no % but of what ComfyUI"):
        nodes.SaveFrames.execute(latents, load(), "100%")


@pytest.mark.parametrize("asked", [0, 1, 4])
def test_an_interrupt_leaves_no_half_video(
    comfyui: ComfyUI, nodes: ModuleType, load, asked: int
) -> None:
    comfyui.interrupt_after = asked
    with pytest.raises(InterruptProcessingException):
        to_video(nodes, load(), samples(6, 4, 2, 2))
    assert list((comfyui.output / "video").iterdir()) == []


def test_an_interrupt_leaves_whole_pictures(comfyui: ComfyUI, nodes: ModuleType, load) -> None:
    comfyui.interrupt_after = 4
    with pytest.raises(InterruptProcessingException):
        nodes.SaveFrames.execute({"samples": samples(6, 4, 2, 2)}, load(), "a")
    kept = sorted((comfyui.output / "a_00001_").iterdir())
    assert len(kept) <= 4
    comfyui.interrupt_after = 0
    with pytest.raises(InterruptProcessingException):
        nodes.SaveFrames.execute({"samples": samples(6, 4, 2, 2)}, load(), "b")
    assert [each.name for each in comfyui.output.iterdir()] == ["a_00001_"]
    assert [pixels(each).shape for each in kept] == [(16, 16, 3)] * len(kept)


def test_an_interrupt_stops_a_decode(comfyui: ComfyUI, nodes: ModuleType, load) -> None:
    comfyui.interrupt_after = 1
    with pytest.raises(InterruptProcessingException):
        load("nano").decode(samples(1, 4, 16, 16), memory="2MiB")


def test_a_full_disk_is_named_and_leaves_nothing(comfyui: ComfyUI, nodes: ModuleType, load) -> None:
    vae = load()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        with pytest.raises(ts.OutputError, match="no room"):
            to_video(nodes, vae, samples(4, 4, 16, 16))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((comfyui.output / "video").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(comfyui: ComfyUI, nodes: ModuleType, load) -> None:
    (comfyui.output / "video").write_text("a file")
    with pytest.raises(ts.OutputError, match="cannot write to 'video/clip' in ComfyUI's output"):
        to_video(nodes, load(), samples(2, 4, 2, 2))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((1, 16, 2, 2), r"expected 4 channels, as latent2rgb takes, found 16 .*taef1 \(FLUX.1\)"),
        ((1, 128, 2, 2), r"found 128 .*load taef2 \(FLUX.2\) or taeltx_2 \(LTX-2\)"),
        ((1, 5, 2, 2), "found 5 .*no tiny model has as many"),
        ((4, 2, 2), r"expected \(batch, channels, height, width\), or .*found \(4, 2, 2\)"),
    ],
)
def test_other_samples_are_refused_before_a_file_is_begun(
    comfyui: ComfyUI, nodes: ModuleType, load, shape: tuple[int, ...], said: str
) -> None:
    with pytest.raises(ts.InputError, match=said):
        to_video(nodes, load(), torch.zeros(shape))
    assert list(comfyui.output.iterdir()) == []


def test_another_vae_and_a_model_that_is_gone_are_named(nodes: ModuleType, load) -> None:
    with pytest.raises(ts.InputError, match=r"that of Load Tiny VAE, found .*builtins\.obj"):
        nodes.DecodeExactTiles.execute({"samples": samples(1, 4, 2, 2)}, object())
    with pytest.raises(ts.InputError, match="found NoneType"):
        nodes.DecodeExactTiles.execute({}, load())
    with pytest.raises(ts.ModelNotFoundError, match=r"found 'vae_approx/a\.pth', which is not"):
        load("vae_approx/a.pth")


def test_what_cannot_be_is_refused_before_anything_runs(nodes: ModuleType) -> None:
    refused = nodes.DecodeToVideo.validate_inputs(memory="auto", container="mp4", codec="ffv1")
    assert "ffv1" in refused
    assert "expected bytes or a size" in nodes.LoadTinyVAE.validate_inputs(memory="much")
    assert nodes.SaveFrames.validate_inputs(memory="2GiB") is True


def test_files_are_offered_and_known_by_their_time(comfyui: ComfyUI, nodes: ModuleType) -> None:
    file = comfyui.vae_approx / "a.safetensors"
    file.touch()
    (comfyui.vae_approx / "gone.pth").symlink_to("nowhere")
    (model, *_) = nodes.LoadTinyVAE.define_schema().inputs
    assert {"taesd", "vae_approx/a.safetensors"} <= set(model.options)
    first, named = (
        nodes.LoadTinyVAE.fingerprint_inputs(model=each)
        for each in ("vae_approx/a.safetensors", "taesd")
    )
    assert str(file) in first
    assert named == "taesd"


async def _nodes_of(entrypoint: Callable[[], Any]) -> list[type]:
    extension = await entrypoint()
    found: list[type] = await extension.get_node_list()
    return found


def test_both_ways_of_loading_give_the_same_nodes(comfyui: ComfyUI, nodes: ModuleType) -> None:
    import asyncio

    from taesd_stream.comfyui import NODE_CLASS_MAPPINGS, comfy_entrypoint

    found = asyncio.run(_nodes_of(comfy_entrypoint))
    assert {each.GET_SCHEMA().node_id: each for each in found} == NODE_CLASS_MAPPINGS
    assert nodes.NODE_DISPLAY_NAME_MAPPINGS["TaesdStreamSaveFrames"] == "Save Frames"


def workflows() -> list[Path]:
    folder = resources.files("taesd_stream.comfyui") / "custom_node" / "example_workflows"
    return [Path(str(each)) for each in folder.iterdir() if each.name.endswith(".json")]


@pytest.mark.parametrize("path", workflows(), ids=lambda path: path.stem)
def test_the_workflow_fits_the_nodes(nodes: ModuleType, path: Path) -> None:
    graph = json.loads(path.read_text())
    ours = [each for each in graph["nodes"] if each["type"] in nodes.NODE_CLASS_MAPPINGS]
    assert {each["type"] for each in ours} > {"TaesdStreamLoadTinyVAE", "TaesdStreamDecode"}
    for node in ours:
        schema = nodes.NODE_CLASS_MAPPINGS[node["type"]].define_schema()
        inputs = sorted(schema.inputs, key=lambda each: each.optional)
        widgets = [each for each in inputs if hasattr(each, "default")]
        sockets = [each.id for each in inputs if not hasattr(each, "default")]
        assert [each["name"] for each in node["inputs"]] == sockets
        for widget, value in zip(widgets, node["widgets_values"], strict=True):
            assert widget.options is None or value in widget.options, widget.id
    ends = {(each["id"], link) for each in graph["nodes"] for link in _links(each)}
    for number, source, _, target, _, _ in graph["links"]:
        assert {(source, number), (target, number)} <= ends


def _links(node: dict[str, Any]) -> list[int]:
    taken = [each["link"] for each in node["inputs"] if each["link"] is not None]
    return taken + [link for each in node["outputs"] for link in each["links"] or []]
