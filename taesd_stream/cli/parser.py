"""The arguments of every command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from taesd_stream.cli import arguments
from taesd_stream.cli.cheaper import add_shortcuts
from taesd_stream.cli.cluster_option import add_cluster
from taesd_stream.cli.place import add_place
from taesd_stream.cli.values import fps, width_and_height

__all__ = ["make_parser"]


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(2)


def make_parser() -> argparse.ArgumentParser:
    """The parser of `taesd-video`; what it calls ``command`` is a function's name in `commands`."""
    parser = _Parser(
        prog="taesd-video",
        description=(
            "Decode the latents of Stable Diffusion, FLUX, Sana, Wan, Hunyuan Video, CogVideoX, LTX"
            " and others into pictures and videos: exactly, tile by tile, in bounded memory."
        ),
        epilog=(
            "See `taesd-video COMMAND --help` for the options of a command. Exit status: 0 done;"
            " 2 the arguments or the input are wrong; 1 anything else; 130 interrupted."
        ),
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    made = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=_Parser
    )
    for name, (said, fill) in _COMMANDS.items():
        command = made.add_parser(name, help=said)
        fill(command)
        arguments.add_json(command)
        arguments.add_verbose(command)
    return parser


def _decode(parser: argparse.ArgumentParser) -> None:
    parser.description = "Decode latents into a video, pictures, or an array."
    arguments.add_latents(parser)
    parser.add_argument(
        "output",
        metavar="OUT",
        help=".mp4 .mov .mkv .webm .gif .webp; .png .jpg (one still, or numbered pictures where the"
        " name holds %%d or is a folder); .npy .safetensors; one picture of any size as .tif,"
        " .ome.zarr, .dzi, .png or .npy; - for Matroska on standard output; any of these at s3://"
        " or gs:// (extra remote)",
    )
    arguments.add_decoding(parser)
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        help="for int8: latents to find its ranges on; default: IN, or the sample where IN is a"
        " stream",
    )
    arguments.add_view(parser)
    arguments.add_file(parser)
    arguments.add_picture(parser)
    arguments.add_background(parser, "kept where OUT can, else white")
    add_cluster(parser)
    arguments.add_overwrite(parser)


def _encode(parser: argparse.ArgumentParser) -> None:
    parser.description = "Encode a video, a picture, or numbered pictures into latents."
    parser.add_argument(
        "input",
        metavar="IN",
        help="a video, a picture, a folder of them, or frames_%%05d.png; frames that decode wrote"
        " as .npy or .safetensors; a .tif, .zarr or .npy of any size; one file at s3://, gs:// or"
        " https:// (extra remote)",
    )
    parser.add_argument(
        "output",
        metavar="OUT",
        help=".safetensors .npy .pt .pth, .latent for ComfyUI; .png for 8-bit latents of"
        " 4, 8, 12 ... channels; at s3:// or gs://, too (extra remote)",
    )
    arguments.add_model(parser, default="taesd")
    add_shortcuts(parser)
    arguments.add_seed(
        parser, "full VAEs: draw latents by noise of this seed; default: make their mean"
    )
    arguments.add_convention(parser, "model, and vae for .latent")
    arguments.add_frames(parser)
    arguments.add_wrap(parser)
    arguments.add_background(parser, "white, or kept by models of RGBA pictures")
    arguments.add_engine(parser)
    add_cluster(parser)
    parser.add_argument(
        "--resume",
        action="store_true",
        help="with --cluster: go on with what is kept in OUT.resume of a run that was cut short",
    )
    arguments.add_overwrite(parser)


def _plan(parser: argparse.ArgumentParser) -> None:
    parser.description = "Say what decode would do, without doing it; no weights are needed."
    arguments.add_latents(parser)
    parser.add_argument(
        "output",
        metavar="OUT",
        nargs="?",
        help="what decode would write: one large picture, such as a .tif, is planned in bands;"
        " default: a video",
    )
    arguments.add_decoding(parser)
    arguments.add_view(parser)
    add_cluster(parser)


def _info(parser: argparse.ArgumentParser) -> None:
    parser.description = "Say what a file of latents or a checkpoint is."
    parser.add_argument(
        "input",
        metavar="FILE",
        help="latents, or weights, or a folder of either; latents at s3://, gs:// or https://, too"
        " (extra remote)",
    )


def _models(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "List the models by name. Columns: scale is pixels along a side of a latent; frames, what a"
        " latent becomes; back, how many earlier latents a frame depends on; first, how many the"
        " first frame needs; weights that are online are downloaded when first used, those on"
        " the hub too (needs the extra hub)."
    )


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.description = "Decode the sample inside the package with nano; needs no network."
    parser.add_argument("output", metavar="OUT", nargs="?", default="taesd-demo.mp4")
    parser.add_argument("--model", default="nano", help="default: %(default)s")
    arguments.add_file(parser)
    arguments.add_engine(parser)
    arguments.add_overwrite(parser)


def _export(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write a decoder or an encoder as an ONNX file for other programs: any size and batch; a"
        " model for videos goes step by step."
    )
    parser.add_argument("output", metavar="OUT", help="a name that ends in .onnx")
    parser.add_argument(
        "--model",
        metavar="NAME|PATH",
        required=True,
        help="a name out of `taesd-video models`, a file or folder of weights, or owner/name on the"
        " Hugging Face hub",
    )
    arguments.add_variant(parser)
    parser.add_argument(
        "--half",
        choices=("decoder", "encoder"),
        default="decoder",
        help="which half of the model; default: %(default)s",
    )
    parser.add_argument(
        "--dtype",
        metavar="T",
        default="float32",
        help="float32, float16, or, for a decoder, int8; default: %(default)s",
    )
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        help="for int8: latents to find its ranges on; default: the sample, for SD 1 and 2",
    )
    parser.add_argument(
        "--static",
        metavar="WIDTHxHEIGHT",
        type=width_and_height,
        help="one picture of this size in pixels only; default: any",
    )
    arguments.add_overwrite(parser)


def _comfyui(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Put the nodes into a ComfyUI: a folder in its custom_nodes, which loads them from this"
        " package. The Python that runs ComfyUI must have taesd-stream; where it lies beside it, it"
        " is asked."
    )
    parser.add_argument("path", metavar="PATH", help="the ComfyUI: the folder with custom_nodes")
    parser.add_argument(
        "--overwrite", "-y", action="store_true", help="replace files that are not as they come"
    )


def _serve(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Serve a page that shows a decode while it runs, until ctrl-C: latents that are played, or,"
        " without IN, those that other programs push to it. Needs the extra live."
    )
    arguments.add_latents(parser, is_optional=True)
    parser.add_argument("--loop", action="store_true", help="play IN again and again")
    parser.add_argument(
        "--fps", metavar="R", type=fps, help="of IN; default: what the latents say, or 24"
    )
    add_place(parser)
    arguments.add_decoding(parser)
    arguments.add_view(parser)


_COMMANDS: Final[dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]]] = {
    "decode": ("latents to a video, pictures, or an array", _decode),
    "encode": ("a video or pictures to latents", _encode),
    "plan": ("what decode would do: tiles, recompute, memory, time", _plan),
    "info": ("what a file of latents or a checkpoint is", _info),
    "models": ("the models, and which are cached", _models),
    "demo": ("decode the sample inside the package; needs no network", _demo),
    "export": ("a decoder or an encoder to an ONNX file", _export),
    "serve": ("a page that shows a decode while it runs", _serve),
    "comfyui": ("put the nodes into a ComfyUI", _comfyui),
}
"""The help of each command, and what adds its arguments; in the order of the help."""


def _version() -> str:
    from importlib.metadata import version

    return version("taesd-stream")
