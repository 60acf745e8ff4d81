"""The nodes: what ComfyUI shows of each, and which call it makes."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from comfy_api.latest import ComfyExtension, InputImpl, io, ui

from taesd_stream.comfyui.host import compute_device, how_made, model_file, model_names
from taesd_stream.comfyui.samples import samples_in
from taesd_stream.comfyui.saving import FORMATS, VideoFile, save_frames, save_video
from taesd_stream.comfyui.tiny_vae import TinyVAE
from taesd_stream.engine.budget import read_budget
from taesd_stream.engine.load import load
from taesd_stream.errors import InputError, ModelNotFoundError
from taesd_stream.models import VARIANTS
from video.codecs import CODECS, choose_codec

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "comfy_entrypoint"]

_log = logging.getLogger("taesd_stream")

_CATEGORY = "taesd-stream"
_AUTO = "auto"
_SHOWN_PICTURES = 16
_DTYPES = ("float32", "bfloat16", "float16")
_NAMES = tuple(each.name for each in VARIANTS)


class _WithMemory(io.ComfyNode):  # type: ignore[misc]
    """A node with a budget, which is looked at before anything runs."""

    @classmethod
    def validate_inputs(cls, memory: str = _AUTO) -> bool | str:
        """True, or what is wrong with the budget."""
        try:
            if memory != _AUTO:
                read_budget(memory, compute_device())
        except InputError as error:
            return str(error)
        return True


class LoadTinyVAE(_WithMemory):
    """A tiny VAE from the table of models, or from a file in ComfyUI's folders."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TaesdStreamLoadTinyVAE",
            display_name="Load Tiny VAE",
            category=_CATEGORY,
            description="A tiny VAE that decodes and encodes in exact tiles, in bounded memory.",
            inputs=[
                io.Combo.Input(
                    "model",
                    options=[*_NAMES, *model_names()],
                    default="taesd",
                    tooltip="A model by name, which is downloaded once and verified; nano and"
                    " latent2rgb are in the package. Or a file in models/vae_approx or models/vae.",
                ),
                io.Combo.Input(
                    "variant",
                    options=[_AUTO, *_NAMES],
                    default=_AUTO,
                    optional=True,
                    tooltip="For a file whose shapes are those of several models: which it is.",
                ),
                io.Combo.Input("dtype", options=[_AUTO, *_DTYPES], default=_AUTO, optional=True),
                _memory_input(),
            ],
            outputs=[io.Vae.Output()],
        )

    @classmethod
    def fingerprint_inputs(cls, model: str, **_: Any) -> str:
        file = model_file(model)
        return model if file is None else f"{file} {os.stat(file).st_mtime_ns}"

    @classmethod
    def execute(
        cls, model: str, variant: str = _AUTO, dtype: str = _AUTO, memory: str = _AUTO
    ) -> io.NodeOutput:
        file = model_file(model)
        if file is None and model not in _NAMES:
            raise ModelNotFoundError(
                f"model: expected a name in the list, or a file in models/vae_approx or models/vae,"
                f" found '{model}', which is not there any more; reload the page and choose again"
            )
        ae = load(
            file or model,
            variant=None if variant == _AUTO else variant,
            device=compute_device(),
            dtype=dtype,
        )
        _log.info("%s", ae)
        return io.NodeOutput(TinyVAE(ae, memory))


class DecodeExactTiles(_WithMemory):
    """Latents to pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TaesdStreamDecode",
            display_name="Decode (exact tiles)",
            category=_CATEGORY,
            description="Decodes in tiles that equal the undivided decode, within a memory budget.",
            inputs=[*_decode_inputs(), _memory_input()],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, samples: Mapping[str, Any], vae: Any, memory: str = _AUTO) -> io.NodeOutput:
        tiny = _tiny(vae)
        images = tiny.decode(samples_in(samples), memory=_budget(memory, tiny))
        return io.NodeOutput(images.reshape(-1, *images.shape[-3:]))


class DecodeToVideo(_WithMemory):
    """Latents to a video in the output folder, frame by frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TaesdStreamDecodeToVideo",
            display_name="Decode to Video (streamed)",
            category=_CATEGORY,
            description="Decodes straight into a file in the output folder: frames are never all in"
            " memory, however long the video is.",
            inputs=[
                *_decode_inputs(),
                io.Float.Input("fps", default=24.0, min=0.01, max=1000.0, step=0.001),
                io.String.Input("filename_prefix", default="video/taesd-stream"),
                io.Combo.Input(
                    "container", options=list(FORMATS), default=FORMATS[0], display_name="format"
                ),
                io.Combo.Input("codec", options=[_AUTO, *CODECS], default=_AUTO, optional=True),
                io.Int.Input(
                    "crf",
                    default=-1,
                    min=-1,
                    max=63,
                    optional=True,
                    tooltip="0 is best; -1 is the codec's own.",
                ),
                io.Audio.Input("audio", optional=True, tooltip="Sound that goes along."),
                _memory_input(),
            ],
            outputs=[io.Video.Output()],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(
        cls, memory: str = _AUTO, container: str = FORMATS[0], codec: str = _AUTO
    ) -> bool | str:
        try:
            if codec != _AUTO:
                choose_codec(f".{container}", codec)
        except InputError as error:
            return str(error)
        return super().validate_inputs(memory)

    @classmethod
    def execute(
        cls,
        *,
        samples: Mapping[str, Any],
        vae: Any,
        fps: float,
        filename_prefix: str,
        container: str,
        codec: str = _AUTO,
        crf: int = -1,
        audio: Mapping[str, Any] | None = None,
        memory: str = _AUTO,
    ) -> io.NodeOutput:
        tiny = _tiny(vae)
        chosen = None if codec == _AUTO else codec
        quality, made = None if crf < 0 else crf, how_made(cls.hidden)
        file = VideoFile(filename_prefix, container, fps, chosen, quality, audio, made)
        saved = save_video(tiny, samples_in(samples), file, _budget(memory, tiny))
        shown = ui.SavedResult(saved.path.name, saved.place.subfolder, io.FolderType.output)
        return io.NodeOutput(InputImpl.VideoFromFile(str(saved.path)), ui=ui.PreviewVideo([shown]))


class SaveFrames(_WithMemory):
    """Latents to numbered pictures in the output folder, one by one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TaesdStreamSaveFrames",
            display_name="Save Frames",
            category=_CATEGORY,
            description="Decodes into numbered PNGs in a new folder of the output folder, one by"
            " one.",
            inputs=[
                *_decode_inputs(),
                io.String.Input("filename_prefix", default="frames/taesd-stream"),
                _memory_input(),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, samples: Mapping[str, Any], vae: Any, filename_prefix: str, memory: str = _AUTO
    ) -> io.NodeOutput:
        tiny = _tiny(vae)
        saved = save_frames(tiny, samples_in(samples), filename_prefix, _budget(memory, tiny))
        subfolder = os.path.join(saved.place.subfolder, saved.path.name)
        names = sorted(each.name for each in saved.path.iterdir())[:_SHOWN_PICTURES]
        return io.NodeOutput(
            ui=ui.SavedImages(
                [ui.SavedResult(name, subfolder, io.FolderType.output) for name in names]
            )
        )


def _memory_input() -> io.String.Input:
    return io.String.Input(
        "memory",
        default=_AUTO,
        optional=True,
        tooltip="What decoding may take besides its result, such as 2GiB; auto is read off the"
        " machine.",
    )


def _decode_inputs() -> list[io.Input]:
    return [
        io.Latent.Input("samples"),
        io.Vae.Input("vae", tooltip="Of Load Tiny VAE."),
    ]


def _budget(memory: str, vae: TinyVAE) -> int | str:
    return vae.memory if memory == _AUTO else memory


def _tiny(vae: Any) -> TinyVAE:
    if not isinstance(vae, TinyVAE):
        raise InputError(
            "vae: expected that of Load Tiny VAE, found ComfyUI's own"
            f" {type(vae).__module__}.{type(vae).__qualname__}; connect Load Tiny VAE, or decode"
            " with VAE Decode"
        )
    return vae


NODE_CLASS_MAPPINGS: dict[str, Any] = {
    "TaesdStreamLoadTinyVAE": LoadTinyVAE,
    "TaesdStreamDecode": DecodeExactTiles,
    "TaesdStreamDecodeToVideo": DecodeToVideo,
    "TaesdStreamSaveFrames": SaveFrames,
}
"""The nodes by their ids, for the classic way of loading."""

NODE_DISPLAY_NAME_MAPPINGS = {
    name: node.define_schema().display_name for name, node in NODE_CLASS_MAPPINGS.items()
}
"""Their titles."""


class TaesdStreamExtension(ComfyExtension):  # type: ignore[misc]
    """The nodes, for the V3 way of loading."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODE_CLASS_MAPPINGS.values())


async def comfy_entrypoint() -> TaesdStreamExtension:
    """What ComfyUI calls to load the nodes."""
    return TaesdStreamExtension()
